"""The login of the admin: its form, and the answers to attempts."""

from __future__ import annotations

import math
from functools import lru_cache

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache

from logins import throttle
from logins.throttle import LoginRefused
from logins.waiting import queue


@never_cache
async def login(request: HttpRequest) -> HttpResponse:
    """Show the admin's form, or check a name and a password."""
    if request.method != "POST":
        return await sync_to_async(admin.site.login)(request)
    try:
        return await queue.attempt(request)
    except LoginRefused as refused:
        throttle.log_refusal(throttle.address(request), refused)
        await queue.delay()
        minutes = 0 if refused.status == 503 else math.ceil(refused.seconds / 60)
        wait = {"Retry-After": str(math.ceil(refused.seconds))}
        body = await sync_to_async(page)(get_language(), minutes)
        return HttpResponse(body, status=refused.status, headers=wait)


@lru_cache(100)
def page(language: str, minutes: int) -> str:
    """Return the page for a refused login in the active language; 0 minutes mean a moment."""
    titles = {"site_title": admin.site.site_title, "site_header": admin.site.site_header}
    return render_to_string("logins/refused.html", {**titles, "minutes": minutes})
