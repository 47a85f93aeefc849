"""Our templates, or those of a site in their place, rendered in the edition of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from django.utils.safestring import SafeString

from quotes.conf import renamed
from quotes.fragments.ready import Ready
from quotes.models import Symbol
from quotes.watch import Edition

MAX_REMEMBERED = 1000  # notes and sources: without a limit, unknown symbols would fill the memory


@dataclass(slots=True)
class Templates:
    """Renders templates, and keeps the results that many pages need."""

    renders: Counter[str] = field(default_factory=Counter)  # by template
    remembered: dict[tuple[Hashable, ...], SafeString] = field(default_factory=dict)
    ready: dict[str, Ready] = field(default_factory=dict)  # by template

    def render_once(
        self, template: str, edition: Edition, context: dict[str, Hashable]
    ) -> SafeString:
        """Render a template that many pages need with the same context, and keep the result."""
        key = (template, edition, *context.values())
        if key not in self.remembered:
            if len(self.remembered) >= MAX_REMEMBERED:
                self.remembered.clear()
            self.remembered[key] = self.render(template, edition, context)
        return self.remembered[key]

    def render(
        self,
        template: str,
        edition: Edition,
        context: dict[str, Any],
        symbol: Symbol | None = None,
    ) -> SafeString:
        """Render a template in an edition, in ASCII and without the last line break.

        ASCII, because a server encodes a frame again for each socket: 25 rows take 1.5 µs, and
        34 µs with a single “▲” in them. Other characters become HTML character references.
        """
        self.renders[template] += 1
        with edition.written(symbol):
            html = self._ready(template).render(context).strip()
        return SafeString(html.encode("ascii", "xmlcharrefreplace").decode())

    def _ready(self, name: str) -> Ready:
        """Return a template, or that of the site in its place, ready to be rendered."""
        template = renamed.template(name).template
        known = self.ready.get(name)
        if known is None or known.template is not template:  # with DEBUG, each is read again
            known = self.ready[name] = Ready(template)
        return known
