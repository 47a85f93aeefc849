"""Sites that other people have: each is made as its own documents describe it."""

from __future__ import annotations

import re
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

from tests.hosts.projects import Project
from tests.servers import ROOT
from tests.snippets import snippets

PLACE = '<div id="place">{}</div>'  # of a fixed size, so that what is in it moves nothing
STYLE = "#place { width: 24rem; height: 24rem; overflow: hidden; }"
DARK = ".dark body { color: #eee; background: #111; }"
TAGS = """{% load quotes %}<p>Bitcoin stands at {% live_quote "BTC-USD" %}.</p>
{% live_quotes "BTC-USD" "AAPL" "SHIB-USD" "NOPE" %}"""
PAGE = """{% load static %}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A site</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="{% static 'host.css' %}"></head>
<body class="container">
<nav class="navbar"><a class="navbar-brand" href="/">Site</a> <span class="badge">New</span></nav>
<h1>Heading</h1>
<p class="lead">Text with a <a href="/x">link</a>, <small>small</small> <b>bold</b>.</p>
<form><label class="form-label">Name <input class="form-control" value="Ada"></label>
<select class="form-select"><option>One</option></select>
<button class="btn btn-primary" type="button">Send</button></form>
<table class="table table-striped"><caption>Sales</caption><thead><tr><th>Year</th><th>Sum</th></tr>
</thead><tbody><tr><td>2025</td><td>7</td></tr><tr><td>2026</td><td>8</td></tr></tbody></table>
<ul><li>One</li><li>Two</li></ul><blockquote class="quote">Said <svg width="9" height="9">
<path d="M0 0L9 9"/></svg></blockquote>
PLACE
SCRIPT
</body></html>
"""
CHAT_SCRIPT = """<p id="chat"></p><script>
const chat = new WebSocket(`ws://${location.host}/ws/chat/`);
chat.onopen = () => chat.send("hello");
chat.onmessage = ({data}) => { document.getElementById("chat").textContent += data; };
</script>"""
CHAT = """
from channels.generic.websocket import WebsocketConsumer
from django.urls import path


class Echo(WebsocketConsumer):
    def receive(self, text_data="", bytes_data=b""):
        self.send(text_data.upper())


websocket_urlpatterns = [path("ws/chat/", Echo.as_asgi())]
"""
ASGI = """
import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
pages = get_asgi_application()

from chat.routing import websocket_urlpatterns

application = ProtocolTypeRouter({"http": pages, "websocket": URLRouter(websocket_urlpatterns)})
"""
OSCAR_SETTINGS = """
from oscar.defaults import *

INSTALLED_APPS += [
    "django.contrib.sites", "django.contrib.flatpages", "oscar.config.Shop",
    "oscar.apps.analytics.apps.AnalyticsConfig", "oscar.apps.checkout.apps.CheckoutConfig",
    "oscar.apps.address.apps.AddressConfig", "oscar.apps.shipping.apps.ShippingConfig",
    "oscar.apps.catalogue.apps.CatalogueConfig",
    "oscar.apps.catalogue.reviews.apps.CatalogueReviewsConfig",
    "oscar.apps.communication.apps.CommunicationConfig",
    "oscar.apps.partner.apps.PartnerConfig", "oscar.apps.basket.apps.BasketConfig",
    "oscar.apps.payment.apps.PaymentConfig", "oscar.apps.offer.apps.OfferConfig",
    "oscar.apps.order.apps.OrderConfig", "oscar.apps.customer.apps.CustomerConfig",
    "oscar.apps.search.apps.SearchConfig", "oscar.apps.voucher.apps.VoucherConfig",
    "oscar.apps.wishlists.apps.WishlistsConfig", "oscar.apps.dashboard.apps.DashboardConfig",
    "oscar.apps.dashboard.reports.apps.ReportsDashboardConfig",
    "oscar.apps.dashboard.users.apps.UsersDashboardConfig",
    "oscar.apps.dashboard.orders.apps.OrdersDashboardConfig",
    "oscar.apps.dashboard.catalogue.apps.CatalogueDashboardConfig",
    "oscar.apps.dashboard.offers.apps.OffersDashboardConfig",
    "oscar.apps.dashboard.partners.apps.PartnersDashboardConfig",
    "oscar.apps.dashboard.pages.apps.PagesDashboardConfig",
    "oscar.apps.dashboard.ranges.apps.RangesDashboardConfig",
    "oscar.apps.dashboard.reviews.apps.ReviewsDashboardConfig",
    "oscar.apps.dashboard.vouchers.apps.VouchersDashboardConfig",
    "oscar.apps.dashboard.communications.apps.CommunicationsDashboardConfig",
    "oscar.apps.dashboard.shipping.apps.ShippingDashboardConfig",
    "widget_tweaks", "haystack", "treebeard", "django_tables2", "sorl.thumbnail",
]
SITE_ID = 1
MIDDLEWARE += [
    "oscar.apps.basket.middleware.BasketMiddleware",
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
]
TEMPLATES[0]["OPTIONS"]["context_processors"] += [
    "oscar.apps.search.context_processors.search_form",
    "oscar.apps.checkout.context_processors.checkout",
    "oscar.apps.communication.notifications.context_processors.notifications",
    "oscar.core.context_processors.metadata",
]
AUTHENTICATION_BACKENDS = [
    "oscar.apps.customer.auth_backends.EmailBackend",
    "django.contrib.auth.backends.ModelBackend",
]
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
STATICFILES_DIRS = [BASE_DIR / "static"]
"""
OSCAR_URLS = """
from django.apps import apps
from django.urls import include

urlpatterns += [path("", include(apps.get_app_config("oscar").urls[0]))]
"""
OSCAR_PAGE = """{% extends "oscar/catalogue/browse.html" %}{% load static %}
{% block extrastyles %}{{ block.super }}
<link rel="stylesheet" href="{% static 'host.css' %}">{% endblock %}
{% block content %}{{ block.super }}PLACE{% endblock %}
"""
STATIC_URLS = """
from django.contrib.staticfiles.urls import staticfiles_urlpatterns

urlpatterns += staticfiles_urlpatterns()  # for uvicorn
"""
UVICORN = ("-m", "uvicorn", "--log-level", "warning", "--port", "{port}")


@dataclass(frozen=True)
class Host:
    """A site: how it is made, which page gets quotes, and how it is served before and after."""

    name: str
    make: Callable[[Project], None]
    packages: tuple[str, ...] = ()
    page: str = "/"
    template: str = "templates/home.html"
    settings: str = "mysite/settings.py"
    dark: str = ""  # how its root shows that it is dark, if it can be
    before: tuple[str, ...] = ("manage.py", "runserver", "--noreload", "127.0.0.1:{port}")
    after: tuple[str, ...] = ("manage.py", "runserver", "--noreload", "127.0.0.1:{port}")
    asgi: str = ""  # its asgi.py with quotes
    sockets: int = 0  # that it has itself


def styled(css: Callable[[], str], script: str = "") -> Callable[[Project], None]:
    """Return a maker of a bare site with a stylesheet."""

    def make(project: Project) -> None:
        project.start()
        page = PAGE.replace("SCRIPT", script).replace("PLACE", PLACE.format(""))
        project.write("templates/home.html", page)
        project.write("static/host.css", css() + STYLE + DARK)
        project.change("mysite/settings.py", "", '\nSTATICFILES_DIRS = [BASE_DIR / "static"]\n')
        project.manage("migrate", "--verbosity", "0")

    return make


def npm(package: str, name: str) -> str:
    """Return the text of a file of a package of npm."""
    folder = ROOT / "var" / "hosts" / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(
        ["npm", "pack", "--silent", package], cwd=folder, capture_output=True, text=True, check=True
    )
    with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
        file = archive.extractfile(f"package/{name}")
        assert file
        return file.read().decode()


def bootstrap() -> str:
    """Return the stylesheet of Bootstrap."""
    return npm("bootstrap@5", "dist/css/bootstrap.css")


def tailwind() -> str:
    """Return the reset of Tailwind, with the values of its theme as it has them by default."""
    css = npm("tailwindcss@4", "preflight.css")
    return re.sub(r"--theme\(\s*[\w-]+,\s*([^;]*?)\s*\);", r"\1;", css)


def chat(project: Project) -> None:
    """Make a project of Channels with a socket of its own."""
    styled(lambda: "", CHAT_SCRIPT)(project)
    project.write("chat/__init__.py", "")
    project.write("chat/routing.py", CHAT)
    project.write("mysite/asgi.py", ASGI)
    project.change("mysite/settings.py", "INSTALLED_APPS = [", 'INSTALLED_APPS = ["daphne",')
    project.change("mysite/settings.py", "", 'ASGI_APPLICATION = "mysite.asgi.application"\n')
    project.change("mysite/urls.py", "", STATIC_URLS)


def wagtail(project: Project) -> None:
    """Make a site as `wagtail start` does."""
    project.folder.mkdir(parents=True, exist_ok=True)
    project.run("-m", "wagtail.bin.wagtail", "start", "mysite", ".")
    project.change("home/templates/home/home_page.html", "", "")
    project.manage("migrate", "--verbosity", "0")
    text = project.read("home/templates/home/home_page.html")
    at = text.rindex("{% endblock")
    style = f"<style>{STYLE}</style>{PLACE.format('')}"
    project.write("home/templates/home/home_page.html", text[:at] + style + text[at:])


def oscar(project: Project) -> None:
    """Make a shop as the documents of Oscar describe it."""
    project.start()
    project.change("mysite/settings.py", "", OSCAR_SETTINGS)
    project.change("mysite/urls.py", "", OSCAR_URLS)
    project.write(
        "templates/oscar/catalogue/browse.html", OSCAR_PAGE.replace("PLACE", PLACE.format(""))
    )
    project.write("static/host.css", STYLE)
    project.manage("migrate", "--verbosity", "0")


[AROUND] = [
    each
    for each in snippets("python", ROOT / "docs" / "embedding.md")
    if "ProtocolTypeRouter" in each
]
HOSTS = [
    Host("bare", styled(lambda: ""), dark='class="dark"'),
    Host("Bootstrap", styled(bootstrap), dark='data-bs-theme="dark"'),
    Host("Tailwind", styled(tailwind), dark='class="dark"'),
    Host(
        "Channels",
        chat,
        dark='class="dark"',
        sockets=1,
    ),
    Host(
        "Channels, uvicorn",
        chat,
        before=(*UVICORN, "mysite.asgi:application"),
        after=(*UVICORN, "mysite.asgi:application"),
        asgi=AROUND,
        dark='class="dark"',
        sockets=1,
    ),
    Host(
        "Wagtail",
        wagtail,
        ("wagtail",),
        template="home/templates/home/home_page.html",
        settings="mysite/settings/base.py",
    ),
    Host(
        "Oscar",
        oscar,
        ("django-oscar[sorl-thumbnail]",),
        page="/catalogue/",
        template="templates/oscar/catalogue/browse.html",
    ),
]
