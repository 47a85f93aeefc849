"""Headers: every answer of the site has the whole policy, whoever made it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import async_only_middleware

from quotes.limits import HEADERS

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


@async_only_middleware
def add_headers(get_response: Handler) -> Handler:
    """Add the headers that an answer lacks. This is the first entry of MIDDLEWARE.

    So probes, redirects and errors have them too, which no other middleware sees.
    """

    async def answered(request: HttpRequest) -> HttpResponse:
        response = await get_response(request)
        may_be_framed = getattr(response, "xframe_options_exempt", False)
        for name, value in HEADERS.items():
            if not (name == "X-Frame-Options" and may_be_framed):
                response.headers.setdefault(name, value)
        return response

    return answered
