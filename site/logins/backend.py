"""Django's check of name and password, behind the limits of failed logins."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from logins import throttle


class ThrottledBackend(ModelBackend):
    """Checks names and passwords in the database."""

    async def aauthenticate(self, *args: Any, **kwargs: Any) -> User | None:
        """Do the same from asynchronous code: Django's own method would check no limit."""
        return await sync_to_async(self.authenticate)(*args, **kwargs)

    @sensitive_variables("password")
    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """Return the user, or None; raise LoginRefused after too many failures.

        A refused attempt hashes nothing. Names that do not exist are counted, too.
        """
        if request is None or username is None or password is None:
            return super().authenticate(request, username, password, **kwargs)
        address = throttle.address(request)
        throttle.refuse_blocked(address, username)
        throttle.count(address, username)
        user = super().authenticate(request, username, password, **kwargs)
        if user is None:
            throttle.log_failure(address)
        else:
            throttle.forgive(address, username)
        return user
