"""Headers of the site for every answer, errors and redirects included."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import async_only_middleware

from quotes.limits.answers import HEADERS

EXEMPT = {  # the attributes by which decorators free an answer from a header
    "Content-Security-Policy": "_csp_exempt",
    "X-Frame-Options": "xframe_options_exempt",
}

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


@async_only_middleware
def add_headers(get_response: Handler) -> Handler:
    """Add the headers that an answer lacks. This is the first entry of MIDDLEWARE.

    So probes, redirects and errors have them too, which no other middleware sees.
    """

    async def answered(request: HttpRequest) -> HttpResponse:
        response = await get_response(request)
        exempt = {name for name, mark in EXEMPT.items() if getattr(response, mark, False)}
        for name in HEADERS.keys() - exempt:
            response.headers.setdefault(name, HEADERS[name])
        return response

    return answered
