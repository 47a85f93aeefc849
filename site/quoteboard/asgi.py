"""The site as one ASGI application: pages, sockets, and the live parts behind them."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quoteboard.settings")
django_application = get_asgi_application()

from django.conf import settings  # noqa: E402
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402

if settings.DEBUG:
    django_application = ASGIStaticFilesHandler(django_application)

from quotes.routing import live_application  # noqa: E402  models need Django set up

application = live_application(django_application)
