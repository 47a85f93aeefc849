"""Windows of browsers, which a test opens, reads and touches as W3C WebDriver defines it."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import count
from typing import Any

import httpx
from websockets.sync.client import ClientConnection

from tests.servers import PATIENCE, eventually

MIDDLE = """((place) => (place.scrollIntoView({{block: "center", behavior: "instant"}}),
(({{left, top, width, height}}) => [left + width / 2, top + height / 2].map(Math.round))
(place.getBoundingClientRect())))(document.querySelectorAll({selector!r})[{number}])"""


class Window:
    """A window behind a driver program, which takes its commands over HTTP."""

    def __init__(self, client: httpx.Client, wanted: dict[str, Any]) -> None:
        self.client, self.session = client, ""
        opened = self._post("/session", capabilities={"alwaysMatch": wanted})
        self.session = "/session/" + opened["sessionId"]
        self.version = opened["capabilities"]["browserVersion"]

    def open(self, url: str) -> None:
        """Go to an address, and wait until the page has loaded."""
        self._post("/url", url=url)

    def go(self, by: int) -> None:
        """Go back (-1) or forward (1) in the history."""
        self._post("/back" if by < 0 else "/forward")

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        return self._post("/execute/sync", script=f"return {expression}", args=[])

    def act(self, source: dict[str, Any]) -> None:
        """Perform the actions of a mouse or a finger."""
        self._post("/actions", actions=[source])

    def until(self, expression: str) -> Any:
        """Wait until an expression is true, also while a page loads, and return its value."""

        def happened() -> Any:
            with suppress(RuntimeError):
                return self.value(expression)

        return eventually(happened, expression)

    def hover(self, selector: str, number: int = 0) -> None:
        """Move the mouse to an element."""
        self._point("mouse", selector, number)

    def click(self, selector: str, number: int = 0) -> None:
        """Click on an element."""
        self._point("mouse", selector, number, "pointerDown", "pointerUp")

    def tap(self, selector: str, number: int = 0) -> None:
        """Tap on an element; the driver of WebKitGTK clicks."""
        self._point("touch", selector, number, "pointerDown", "pointerUp")

    def _point(self, kind: str, selector: str, number: int, *buttons: str) -> None:
        x, y = self.value(MIDDLE.format(selector=selector, number=number))
        actions: list[dict[str, Any]] = [{"type": "pointerMove", "x": x, "y": y, "duration": 0}]
        actions += [{"type": each, "button": 0} for each in buttons]
        source = {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}}
        self.act(source | {"actions": actions})

    def _post(self, path: str, **body: Any) -> Any:
        answer = self.client.post(self.session + path, json=body)
        if answer.is_error:
            raise RuntimeError(answer.text)
        return answer.json()["value"]


class BidiWindow(Window):
    """A window of a browser that needs no driver program, because it speaks WebDriver BiDi."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.numbers = socket, count(1)
        opened = self._send("session.new", capabilities={})
        self.version = opened["capabilities"]["browserVersion"]
        self.tab = {"context": self._send("browsingContext.create", type="tab")["context"]}

    def open(self, url: str) -> None:
        self._send("browsingContext.navigate", **self.tab, url=url, wait="complete")

    def go(self, by: int) -> None:
        self._send("browsingContext.traverseHistory", **self.tab, delta=by)

    def value(self, expression: str) -> Any:
        text = f"JSON.stringify({expression})"
        result = self._send("script.evaluate", expression=text, target=self.tab, awaitPromise=False)
        if result["type"] == "exception":
            raise RuntimeError(result["exceptionDetails"]["text"])
        return json.loads(result["result"].get("value", "null"))

    def act(self, source: dict[str, Any]) -> None:
        self._send("input.performActions", **self.tab, actions=[source])

    def _send(self, method: str, **params: Any) -> Any:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (answer := json.loads(self.socket.recv(PATIENCE))).get("id") != number:
            pass
        if answer["type"] == "error":
            raise RuntimeError(answer["message"])
        return answer["result"]
