"""Django's error reports, as pages and as mails: they contain no secret of the settings."""

from __future__ import annotations

import html
import logging
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.conf import settings as site
from django.core import mail
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient
from django.urls import path
from django.utils.log import AdminEmailHandler

CANARY = "canary"
WORDS = f"""{CANARY} with <b>words</b> & "marks", it's long enough for several lines of a report"""
URL = f"https://alice:{CANARY}-url@example.com/prices?apikey={CANARY}-query"


def secrets() -> dict[str, str]:
    """Return the secrets of the settings, by name."""
    options = site.QUOTES["PROVIDER_OPTIONS"]
    return {
        "layer": site.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"][0]["address"],
        "symmetric": site.CHANNEL_LAYERS["default"]["CONFIG"]["symmetric_encryption_keys"][0],
        "key": options["alpaca"]["api_key"],
        "words": options["finnhub"]["api_key"],
        "http": options["http"]["url"],
        "redis": site.REDIS_URL,
        "database": site.DATABASE_URL,
        "cache": site.CACHES["default"]["LOCATION"],
        "signing": site.SECRET_KEY,
        "password": f"{CANARY}-url",
    }


def broken(request: HttpRequest) -> HttpResponse:
    """Fail with all secrets in local variables and in the message."""
    found = secrets()
    nested = {"of a provider": [{"options": found}], "shown": found["words"]}
    joined = "\n".join(found.values())
    at_the_cut = "x" * 4085 + found["key"]
    on_the_wire = b"GET /prices HTTP/1.1\r\nX-Key: " + found["key"].encode() + b"\r\n" + b"-" * 200
    header = b64encode(f"alice:{CANARY}-url".encode())
    raise ValueError(found, nested, joined, at_the_cut, on_the_wire, header)


urlpatterns = [path("broken/", broken)]


@pytest.fixture(autouse=True)
def canaries(settings: Any) -> None:
    """A canary in each secret."""
    settings.ROOT_URLCONF = __name__
    settings.SECRET_KEY = f"{CANARY}-signing"
    settings.REDIS_URL = f"redis://:{CANARY}-redis@127.0.0.1:6379/0"
    settings.DATABASE_URL = f"postgres://quotes:{CANARY}-database@127.0.0.1/quotes"
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://:{CANARY}-cache@127.0.0.1:6379/1",
        }
    }
    config = {
        "hosts": [{"address": f"redis://:{CANARY}-layer@127.0.0.1:6379/0"}],
        "symmetric_encryption_keys": [f"{CANARY}-symmetric"],
    }
    backend = "channels_redis.pubsub.RedisPubSubChannelLayer"
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": config}}
    options = {
        "alpaca": {"api_key": f"{CANARY}-key", "secret_key": f"{CANARY}-secret"},
        "finnhub": {"api_key": WORDS},
        "http": {"url": URL, "fields": "last=price"},
    }
    settings.QUOTES = {"PROVIDERS": ["alpaca"], "PROVIDER_OPTIONS": options}


@pytest.fixture
def mails(settings: Any) -> Iterator[list[mail.EmailMessage]]:
    """The mails to Alice, who runs the site."""
    old = django.VERSION < (6,)
    settings.ADMINS = [("Alice", "alice@example.com")] if old else ["alice@example.com"]
    logger, handler = logging.getLogger("django.request"), AdminEmailHandler(include_html=True)
    logger.addHandler(handler)
    yield mail.outbox  # type: ignore[attr-defined]
    logger.removeHandler(handler)


async def report() -> str:
    """Return the page of an error."""
    client = AsyncClient(raise_request_exception=False)
    answer = await client.get("/broken/", headers={"X-Debug": f"{CANARY}-key"})
    assert answer.status_code == 500
    return answer.content.decode()


def assert_public(text: str) -> None:
    """Fail for a secret in a report, however it is written."""
    text = html.unescape(html.unescape(text))
    for hidden in (
        CANARY,
        "with <b>words",
        "several lines",
        b64encode(b"alice:canary-url").decode(),
    ):
        found = text.find(hidden)
        assert found < 0, text[found - 200 : found + 200]


async def test_a_page_in_debug_mode_shows_no_secret(settings: Any):
    settings.DEBUG = True
    page = await report()
    assert_public(page)
    for shown in ("broken", "at_the_cut", "HTTP_X_DEBUG", "PROVIDER_OPTIONS", "example.com/prices"):
        assert shown in page


@pytest.mark.filterwarnings("ignore:Django 2028 will not have a default mailer")
async def test_a_mail_shows_no_secret(settings: Any, mails: list[mail.EmailMessage]):
    settings.DEBUG = False
    assert "broken" not in await report()
    [sent] = mails
    assert "ERROR" in sent.subject
    [(page, kind)] = sent.alternatives  # type: ignore[attr-defined]
    for text in (sent.subject, sent.body, page):
        assert_public(text)
    assert kind == "text/html"
    assert "PROVIDER_OPTIONS" in sent.body
    assert "at_the_cut" in page
