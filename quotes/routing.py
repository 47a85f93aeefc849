"""Sockets by address, and the one ASGI application around a Django site."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.urls import path
from twisted.internet.defer import Deferred

from quotes import conf, consumers, live
from quotes.checks import refuse_wrong_settings
from quotes.limits import Refused, address_of, refuse

LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]

websocket_urlpatterns = [
    path("ws/cryptoupdates/", consumers.CryptoUpdatesConsumer.as_asgi()),
    path("ws/stock-market/", consumers.StockConsumer.as_asgi()),
    path("ws/boards/<slug:slug>/", consumers.BoardConsumer.as_asgi()),
    path("ws/quotes/", consumers.QuotesConsumer.as_asgi()),
]


def live_application(http: Callable[..., Any]) -> Callable[..., Any]:
    """Put the sockets and the live parts around a site's ASGI application.

    In a site of your own:  application = live_application(get_asgi_application())

    Settings that are wrong are refused here, before any server listens: daphne has no other
    moment for that.
    """
    refuse_wrong_settings()
    sockets = limited(same_origin(found(URLRouter(websocket_urlpatterns))))
    routes = {"http": http, "websocket": sockets}
    return with_live_parts(ProtocolTypeRouter(routes))


def with_live_parts(application: Callable[..., Any]) -> Callable[..., Any]:
    """Start the live parts with the server, or with what it is asked first."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        # daphne lets any client set the prefix of all addresses; a site has its own setting
        scope["root_path"] = settings.FORCE_SCRIPT_NAME or ""
        if live.current() is None:
            stop_with_daphne()
        await live.ensure_started()
        await application(scope, receive, send)

    return wrapped


def stop_with_daphne() -> None:
    """Stop the live parts before daphne's reactor ends: it has no lifespan that would say so."""
    if reactor := sys.modules.get("twisted.internet.reactor"):
        reactor.addSystemEventTrigger(
            "before", "shutdown", lambda: Deferred.fromFuture(asyncio.ensure_future(live.stop()))
        )


async def lifespan(receive: Any, send: Any) -> None:
    """Answer a server that tells when it starts and stops; daphne does not."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await live.ensure_started()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await live.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


def limited(application: Callable[..., Any]) -> Callable[..., Any]:
    """Count sockets while they are open, and refuse, in words, those that are not to be."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        limits = (await live.ensure_started()).limits
        address = address_of(scope)
        try:
            with limits.socket(address):
                await application(scope, receive, send)
        except Refused as refused:
            limits.count(refused, address)
            await refuse(scope, send, refused)

    return wrapped


def found(router: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a socket whose address leads nowhere, instead of failing on it."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await router(scope, receive, send)
        except ValueError as error:
            if "No route found" not in str(error):
                raise
            raise Refused("route", 404, "No socket has this address.") from error

    return wrapped


def same_origin(application: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse sockets that pages of other origins open, before they are accepted."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        origins, hosts = (
            [value.decode("latin1") for name, value in scope["headers"] if name == wanted]
            for wanted in (b"origin", b"host")
        )
        if len(origins) == len(hosts) == 1 and allowed(origins[0], hosts[0]):
            await application(scope, receive, send)
            return
        page = ", ".join(origins)[:100]
        raise Refused("origin", 403, f"Pages of {page!r} may not open sockets here.")

    return wrapped


def allowed(origin: str, host: str) -> bool:
    """Say whether a page of this origin may open a socket to this host.

    Its own pages may, host and port alike, and those that QUOTES["ORIGINS"] lists whole.
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
