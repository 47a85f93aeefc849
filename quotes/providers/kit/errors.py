"""What goes wrong with a source."""

from __future__ import annotations

from typing import Any


class ProviderError(Exception):
    """Raised when a source can't be read: what was asked, what came, in lower case.

    `retry_after` is the number of seconds the source asked us to stay away, if it did.
    `refused` says that asking again is no use until the operator acts (401, 403, 451).
    `status` is the one of HTTP, where it was the answer; `said` is the JSON that came with it.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        refused: bool = False,
        status: int | None = None,
        said: Any = None,
    ) -> None:
        super().__init__(message)
        self.retry_after, self.refused = retry_after, refused
        self.status, self.said = status, said
