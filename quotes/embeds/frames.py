"""Which sites may show a page of ours in a frame, and what the page may load there."""

from __future__ import annotations

from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.views.decorators.clickjacking import xframe_options_exempt

from quotes import conf
from quotes.conf.forms import origin


def embeddable(view: Any) -> Any:
    """Allow only pages from QUOTES["EMBED_ORIGINS"] to frame a view."""

    @wraps(view)
    async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = await view(request, *args, **kwargs)
        origins = [origin(each, wildcard=True) for each in conf.get("EMBED_ORIGINS")]
        ancestors = " ".join(map(str, origins)) or "'none'"
        ours = f"'self' {static_host()}".strip()
        response["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'self'; style-src {ours}; connect-src 'self'; "
            f"img-src {ours}; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
        )
        return response

    return xframe_options_exempt(wrapped)


def static_host() -> str:
    """Return the origin of static files for a policy, or "" if they are on the host of the page."""
    scheme, host, *_ = urlsplit(static("quotes/quotes.css"))
    return f"{scheme}://{host}" if scheme else host
