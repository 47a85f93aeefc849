"""The addresses of the sockets, and the ASGI application around that of a Django site."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError
from django.http.request import HttpRequest, split_domain_port
from django.urls import path

from quotes import conf, consumers
from quotes.checks.settings import refuse_wrong_settings
from quotes.conf.forms import Origin
from quotes.limits import address_of
from quotes.limits.answers import Refused, refuse
from quotes.live import daphne, ended, ensure_started, stop
from quotes.live.bodies import bounded

SCHEMES = {"ws": "http", "wss": "https"}  # of a socket, and of its page
# how the routers of Channels, and the application of Django, answer a socket that is not theirs
NO_SOCKET = ("No route found", "No application configured", "Django can only handle")


def live_application(application: Callable[..., Any]) -> Callable[..., Any]:
    """Add our sockets and the live parts to a site's ASGI application.

    In a site without other sockets:  application = live_application(get_asgi_application())

    An application with sockets of its own, such as the ProtocolTypeRouter of a Channels project,
    keeps them: it gets all sockets whose addresses are not ours. It also keeps its lifespan. An
    application that has the live parts already is returned as it is.

    Raise ImproperlyConfigured for invalid settings here, before the server listens: under daphne
    there is no later moment for it.
    """
    if getattr(application, "has_live_parts", False):
        return application
    refuse_wrong_settings()
    routes = {
        "http": bounded(application),
        "websocket": ours_or_theirs(application),
        "lifespan": with_lifespan(application),
    }
    live = with_live_parts(ProtocolTypeRouter(routes))
    live.has_live_parts = True  # type: ignore[attr-defined]
    return live


def ours_or_theirs(application: Callable[..., Any]) -> Callable[..., Any]:
    """Route sockets: to our consumers, else to the site's own, else refuse them."""
    ours, nowhere = URLRouter(websocket_urlpatterns), limited(unknown)

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        for router in (ours, application):
            try:
                await router(scope, receive, send)
            except ValueError as error:
                if not str(error).startswith(NO_SOCKET):
                    raise
            else:
                return
        await nowhere(scope, receive, send)

    return wrapped


async def unknown(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuse a socket whose address nobody knows."""
    raise Refused("route", 404, "There is no socket at this address.")


def with_live_parts(application: Callable[..., Any]) -> Callable[..., Any]:
    """Start the live parts with the server, or with the first request or socket."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await application(scope, receive, send)
            return
        put_below_prefix(scope)
        if ended():
            await refuse(scope, send, Refused("ending", 503, "This server is about to end."))
            return
        await daphne.begin()
        await application(scope, receive, send)

    return wrapped


def below_prefix(application: Callable[..., Any]) -> Callable[..., Any]:
    """Give an application, such as that of static files, paths with the prefix of the site."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            put_below_prefix(scope)
        await application(scope, receive, send)

    return wrapped


def put_below_prefix(scope: dict[str, Any]) -> None:
    """Begin the path of a request with the prefix of the site, if a proxy has removed it.

    The prefix comes from the settings alone: under daphne, any client can send one in a header.
    """
    scope["root_path"] = prefix = conf.prefix()
    if not f"{scope['path']}/".startswith(f"{prefix}/"):
        scope["path"] = prefix + scope["path"]


def with_lifespan(application: Callable[..., Any]) -> Callable[..., Any]:
    """Start and stop the live parts with a server that has a lifespan: daphne has none.

    If the site's own application has a lifespan, it begins before them.
    """

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        begun = False

        async def begin() -> Any:
            nonlocal begun
            begun = True
            return await receive()

        report = starting_and_stopping(send)
        with suppress(asyncio.CancelledError):  # a server may end while it waits for its database
            try:
                await application(scope, begin, report)
            except Exception:
                if begun:
                    raise
                await no_lifespan(receive, report)  # as that of Django

    return wrapped


async def no_lifespan(receive: Any, send: Any) -> None:
    """Answer the messages of a lifespan for an application that has nothing to start."""
    for what in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{what}.complete"})


def starting_and_stopping(send: Any) -> Callable[[dict[str, str]], Any]:
    """Start the live parts before a lifespan's start is reported, and stop them before its end."""

    async def wrapped(message: dict[str, str]) -> None:
        if message["type"] == "lifespan.startup.complete":
            try:
                await ensure_started()
            except DatabaseError as error:
                words = f"{error}: create the tables with  manage.py migrate"
                message = {"type": "lifespan.startup.failed", "message": words}
        elif message["type"] == "lifespan.shutdown.complete":
            await stop()
        await send(message)

    return wrapped


def limited(application: Callable[..., Any]) -> Callable[..., Any]:
    """Count sockets while they are open, and answer those that are refused."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        limits = (await ensure_started()).limits
        address = address_of(scope)
        try:
            with limits.socket(address):
                await application(scope, receive, send)
        except Refused as refused:
            limits.count(refused, address)
            await refuse(scope, send, refused)

    return wrapped


def same_origin(application: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse sockets from pages of other origins before they are accepted."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        origins, hosts = (
            [value.decode("latin1") for name, value in scope["headers"] if name == wanted]
            for wanted in (b"origin", b"host")
        )
        if len(origins) == len(hosts) == 1 and allowed(origins[0], scope):
            await application(scope, receive, send)
            return
        if len(origins) != 1:
            raise Refused("origin", 403, "A socket needs exactly one Origin header.")
        page = origins[0][:100]
        raise Refused("origin", 403, f"Pages of the origin {page!r} may not open sockets here.")

    return wrapped


def allowed(page: str, scope: Mapping[str, Any]) -> bool:
    """Return whether a page of this origin may open a socket.

    Allowed are the pages of this site, and the origins in QUOTES["ORIGINS"].
    """
    try:
        origin = Origin.read(page)
    except ValueError:
        return False
    partners = map(Origin.read, conf.get("ORIGINS"))
    return origin in partners or origin in own_origins(django_request(scope))


def own_origins(request: HttpRequest) -> list[Origin]:
    """Return the origins of this site's pages, with the headers of proxies that Django trusts."""
    try:
        domain, port = split_domain_port(request.get_host())
    except DisallowedHost:
        return []
    if not port and settings.USE_X_FORWARDED_PORT:
        port = request.META.get("HTTP_X_FORWARDED_PORT", "")
    # without TLS here, a proxy may still serve the pages with it
    schemes = ["https"] if request.is_secure() else ["http", "https"]
    with suppress(ValueError):
        return [Origin.read(f"{scheme}://{domain}{port and f':{port}'}") for scheme in schemes]
    return []


def django_request(scope: Mapping[str, Any]) -> HttpRequest:
    """Return the request for a socket as Django would read it for a page."""
    scheme = SCHEMES.get(scope.get("scheme", "ws"), "http")
    given = {"method": "GET", "scheme": scheme, "query_string": b""}  # it need not be valid
    return ASGIRequest(dict(scope) | given, BytesIO())


# Each is limited and checked by itself, so that it is safe in a router of the site's own, too.
websocket_urlpatterns = [
    path(address, limited(same_origin(consumer.as_asgi())))
    for address, consumer in (
        ("ws/cryptoupdates/", consumers.CryptoUpdatesConsumer),
        ("ws/stock-market/", consumers.StockConsumer),
        ("ws/boards/<slug:slug>/", consumers.BoardConsumer),
        ("ws/quotes/", consumers.QuotesConsumer),
    )
]
