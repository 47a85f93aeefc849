"""The nonce of a request, as Django 6 and django-csp make it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.http import HttpRequest
from django.template import RequestContext, Template

from quotes.htmx.nonces import nonce_of, wants_nonce

SOURCES = ["'self'", "<CSP_NONCE_SENTINEL>"]  # django.utils.csp.CSP.NONCE
LOADING = r"<(?:link rel=\"stylesheet\"|script type=\"module\")[^>]*>"


def loaded(request: HttpRequest, tag: str = "{% quotes_head %}") -> list[str]:
    """Return the elements of a page that load something."""
    page = Template("{% load quotes %}" + tag).render(RequestContext(request))
    return re.findall(LOADING, page)


@pytest.mark.parametrize("attribute", ["_csp_nonce", "csp_nonce"])
@pytest.mark.parametrize("tag", ["{% quotes_head %}", "{% live_quote 'AAPL' %}"])
def test_all_that_a_tag_loads_has_the_nonce_of_the_request(
    db: None, rf: Any, attribute: str, tag: str
):
    request = rf.get("/")
    setattr(request, attribute, "s3cret")
    found = loaded(request, tag)
    assert len(found) == 4
    assert all(' nonce="s3cret"' in each for each in found)


def test_a_page_without_a_policy_has_no_nonce(rf: Any):
    found = loaded(rf.get("/"))
    assert len(found) == 4
    assert "nonce" not in "".join(found)


def test_a_nonce_is_made_if_a_policy_of_the_settings_needs_one(rf: Any, settings: Any):
    csp = pytest.importorskip("django.utils.csp", reason="Django 6 has it")
    request = rf.get("/")
    request._csp_nonce = csp.LazyNonce()
    assert nonce_of(request) == "", "a policy without nonces must not get one"
    settings.SECURE_CSP = {"script-src": [csp.CSP.SELF, csp.CSP.NONCE]}
    found = loaded(request)
    assert all(f' nonce="{request._csp_nonce}"' in each for each in found)
    assert len(str(request._csp_nonce)) > 10


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("SECURE_CSP", {"script-src": SOURCES}),
        ("SECURE_CSP_REPORT_ONLY", {"style-src": tuple(SOURCES)}),
        ("CONTENT_SECURITY_POLICY", {"DIRECTIVES": {"script-src": SOURCES[1]}}),
        ("CONTENT_SECURITY_POLICY_REPORT_ONLY", {"DIRECTIVES": {"style-src": SOURCES}}),
    ],
)
def test_a_policy_with_a_nonce_is_recognised(settings: Any, name: str, policy: Any):
    assert not wants_nonce()
    setattr(settings, name, policy)
    assert wants_nonce()


@pytest.mark.parametrize("policy", [None, {}, {"script-src": ["'self'"]}, {"script-src": True}])
def test_a_policy_without_a_nonce_needs_none(settings: Any, policy: Any):
    settings.SECURE_CSP = policy
    assert not wants_nonce()
