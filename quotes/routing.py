"""The addresses of the sockets, and the ASGI application around that of a Django site."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.db import DatabaseError
from django.http.request import split_domain_port, validate_host
from django.urls import path

from quotes import conf, consumers
from quotes.checks import refuse_wrong_settings
from quotes.limits import Refused, address_of, refuse
from quotes.live import daphne, ended, ensure_started, stop

LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]

websocket_urlpatterns = [
    path("ws/cryptoupdates/", consumers.CryptoUpdatesConsumer.as_asgi()),
    path("ws/stock-market/", consumers.StockConsumer.as_asgi()),
    path("ws/boards/<slug:slug>/", consumers.BoardConsumer.as_asgi()),
    path("ws/quotes/", consumers.QuotesConsumer.as_asgi()),
]


def live_application(http: Callable[..., Any]) -> Callable[..., Any]:
    """Add the sockets and the live parts to a site's ASGI application.

    In a site of your own:  application = live_application(get_asgi_application())

    Raise ImproperlyConfigured for invalid settings here, before the server listens: under daphne
    there is no later moment for it.
    """
    refuse_wrong_settings()
    sockets = limited(same_origin(found(URLRouter(websocket_urlpatterns))))
    routes = {"http": http, "websocket": sockets}
    return with_live_parts(ProtocolTypeRouter(routes))


def with_live_parts(application: Callable[..., Any]) -> Callable[..., Any]:
    """Start the live parts with the server, or with the first request or socket."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        # under daphne, any client could set the prefix of all addresses with a header
        scope["root_path"] = settings.FORCE_SCRIPT_NAME or ""
        if ended():
            await refuse(scope, send, Refused("ending", 503, "This server is about to end."))
            return
        await daphne.begin()
        await application(scope, receive, send)

    return wrapped


async def lifespan(receive: Any, send: Any) -> None:
    """Start and stop the live parts with the server, if it has a lifespan: daphne has none."""
    with suppress(asyncio.CancelledError):  # a server may end while it waits for its database
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await ensure_started()
                except DatabaseError as error:
                    words = f"{error}: create the tables with  manage.py migrate"
                    await send({"type": "lifespan.startup.failed", "message": words})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


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


def found(router: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a socket with an unknown address; Channels raises ValueError for it."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await router(scope, receive, send)
        except ValueError as error:
            if "No route found" not in str(error):
                raise
            raise Refused("route", 404, "There is no socket at this address.") from error

    return wrapped


def same_origin(application: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse sockets from pages of other origins before they are accepted."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        origins, hosts = (
            [value.decode("latin1") for name, value in scope["headers"] if name == wanted]
            for wanted in (b"origin", b"host")
        )
        if len(origins) == len(hosts) == 1 and allowed(origins[0], hosts[0]):
            await application(scope, receive, send)
            return
        if len(origins) != 1:
            raise Refused("origin", 403, "A socket needs exactly one Origin header.")
        page = origins[0][:100]
        raise Refused("origin", 403, f"Pages of the origin {page!r} may not open sockets here.")

    return wrapped


def allowed(origin: str, host: str) -> bool:
    """Return whether a page of this origin may open a socket to this host.

    Allowed are pages of the same host and port, and the origins in QUOTES["ORIGINS"].
    """
    if origin in conf.get("ORIGINS"):
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return False
    if parts.netloc.lower() != host.lower():
        return False
    hosts = settings.ALLOWED_HOSTS or (LOCAL_HOSTS if settings.DEBUG else [])
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, hosts)
