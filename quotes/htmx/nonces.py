"""The nonce of a request, which a content security policy may require on scripts and styles.

Django 6 and django-csp make it. Both make it when it is first read, so that a page has one only if
something of it needs one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest

POLICIES = ("SECURE_CSP", "SECURE_CSP_REPORT_ONLY")  # of Django: directives
WRAPPED = ("CONTENT_SECURITY_POLICY", "CONTENT_SECURITY_POLICY_REPORT_ONLY")  # of django-csp
PLACEHOLDERS = ("<CSP_NONCE_SENTINEL>", "csp.constants.NONCE")  # of Django, and of django-csp


def nonce_of(request: HttpRequest | None) -> str:
    """Return the nonce for what a page loads, or "" if its policy needs none."""
    nonce = getattr(request, "csp_nonce", None)  # of django-csp
    if nonce is None:
        nonce = getattr(request, "_csp_nonce", None)  # of Django
    # a view may have a policy of its own: its nonce is true once it was read
    return str(nonce) if nonce is not None and (nonce or wants_nonce()) else ""


def wants_nonce() -> bool:
    """Return whether a policy in the settings has a nonce."""
    policies = [getattr(settings, name, None) or {} for name in POLICIES]
    policies += [(getattr(settings, name, None) or {}).get("DIRECTIVES", {}) for name in WRAPPED]
    return any(_has_nonce(sources) for each in policies for sources in _values(each))


def _values(policy: Any) -> Iterable[Any]:
    return policy.values() if isinstance(policy, Mapping) else ()


def _has_nonce(sources: Any) -> bool:
    given = sources if isinstance(sources, list | tuple | set | frozenset) else [sources]
    return any(str(each) in PLACEHOLDERS for each in given)
