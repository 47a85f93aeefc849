"""The groups of those who work on the symbols: each may do what the one before may, and more."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission

from quotes.models import (
    Alias,
    Board,
    BoardSymbol,
    HeldPrice,
    MarketDay,
    Override,
    ProviderSymbol,
    Split,
    Symbol,
)

VIEWED = (Symbol, Alias, ProviderSymbol, Split, Board, BoardSymbol, MarketDay, HeldPrice, Override)
EDITED = (Symbol, Alias, ProviderSymbol, Split, Board, BoardSymbol)
OPERATED = (*EDITED, MarketDay, Override)
GROUPS: dict[str, dict[str, tuple[type, ...]]] = {  # name: action: models
    "Quotes viewer": {"view": VIEWED},
    "Quotes editor": {"view": VIEWED, "add": EDITED, "change": EDITED, "delete": (BoardSymbol,)},
    "Quotes operator": {
        "view": VIEWED,
        "add": OPERATED,
        "change": (*OPERATED, HeldPrice),
        "delete": (*OPERATED, HeldPrice),
    },
}


def make_groups() -> list[str]:
    """Make the groups that are missing, and return their names.

    A group that exists stays as it is: its permissions may have been changed on purpose.
    """
    made = []
    for name, actions in GROUPS.items():
        group, is_new = Group.objects.get_or_create(name=name)
        if is_new:
            codenames = [
                f"{action}_{model.__name__.lower()}"
                for action, models in actions.items()
                for model in models
            ]
            group.permissions.set(
                Permission.objects.filter(content_type__app_label="quotes", codename__in=codenames)
            )
            made.append(name)
    return made
