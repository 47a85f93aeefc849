"""The site as one ASGI application: pages, sockets, and the live parts behind them."""

from __future__ import annotations

from quotes.asgi import get_live_application

application = get_live_application("quoteboard.settings")
