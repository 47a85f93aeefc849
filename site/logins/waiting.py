"""Logins that wait for their turn, and answers that are delayed.

Passwords are hashed one after the other, in a thread of its own. Hashing a password takes a quarter
of a second of a processor. Many at once would leave no time for prices.
"""

from __future__ import annotations

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor

from channels.db import database_sync_to_async
from django.contrib import admin
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from logins.throttle import LoginRefused

MAX_WAITING = 30  # logins, for 15 seconds
MAX_DELAYED = 100  # answers
DELAY = (1.0, 3.0)  # seconds: an attacker who gets the answer at once tries again at once
MAX_REST = 1.0  # seconds
BUSY = 5.0  # seconds until the next try


class Queue:
    """Logins of this process, and answers that are delayed."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, "logins")
        self.waiting = self.delayed = 0
        self.rests_until = 0.0  # by the monotonic clock
        self.outages = 0  # logins that the database did not answer

    async def attempt(self, request: HttpRequest) -> HttpResponse:
        """Check one login after the other; raise LoginRefused if too many wait, or if blocked.

        Raise OperationalError if the database does not answer this login, or one before it.
        """
        if self.waiting >= MAX_WAITING:
            raise LoginRefused("too many logins at once", 503, BUSY)
        self.waiting += 1
        try:
            check = database_sync_to_async(self.check, thread_sensitive=False, executor=self.thread)
            answer: HttpResponse = await check(request, self.outages)
            return answer
        finally:
            self.waiting -= 1

    def check(self, request: HttpRequest, outages: int) -> HttpResponse:
        """Check a login and render its page in the one thread: many at once would slow pages.

        Afterwards the thread rests as long as it worked: logins use half a processor at most.
        Logins that waited during an outage fail at once: each would wait for the database again.
        """
        if outages != self.outages:
            raise OperationalError("no answer to a login before this one")
        time.sleep(max(0.0, self.rests_until - time.monotonic()))
        began = time.monotonic()
        try:
            answer = admin.site.login(request)
            return answer.render() if isinstance(answer, TemplateResponse) else answer
        except (InterfaceError, OperationalError):
            self.outages += 1
            raise
        finally:
            ended = time.monotonic()
            self.rests_until = ended + min(ended - began, MAX_REST)

    async def delay(self) -> None:
        """Wait a moment, unless too many wait already."""
        if self.delayed < MAX_DELAYED:
            self.delayed += 1
            try:
                await asyncio.sleep(random.uniform(*DELAY))
            finally:
                self.delayed -= 1


queue = Queue()
