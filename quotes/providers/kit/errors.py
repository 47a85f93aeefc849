"""The errors of a source."""

from __future__ import annotations

from typing import Any

from quotes.quote.texts import one_line

MAX_CHARACTERS = 200  # of a source's own words in an error


class ProviderError(Exception):
    """Raised when a source can't be read; the message names the request and the cause.

    `retry_after` is the number of seconds that the source wants us to back off, if it gave one.
    `refused` means that no request will succeed until the operator acts (401, 403, 451).
    `status` is the HTTP status of the answer, `body` the JSON in it, if there was an answer.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        refused: bool = False,
        status: int | None = None,
        body: Any = None,
    ) -> None:
        super().__init__(message)
        self.retry_after, self.refused = retry_after, refused
        self.status, self.body = status, body

    def __str__(self) -> str:
        """Return the message on one line, because it may contain the source's own words."""
        return one_line(super().__str__())


class RejectedError(ProviderError):
    """Raised when a source rejects a request for a code in it, and does not name the code."""


def excerpt(words: object, *secrets: str) -> str:
    """Return the beginning of a source's own text, without the keys that it may repeat."""
    text = str(words)
    for secret in filter(None, secrets):
        text = text.replace(secret, "…")
    return text[:MAX_CHARACTERS]
