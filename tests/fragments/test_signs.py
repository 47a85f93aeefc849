"""The signs of a page: what visitors and screen readers learn when prices stop."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils.timezone import localtime

from quotes.fragments.signs import TURNS, Signs
from quotes.store import Store
from quotes.watch import Edition

EN, DE = Edition("en"), Edition("de")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def signs() -> Signs:
    return Signs(Store(stale_after={}, clock=lambda: NOON))


def test_a_pulse_is_live_only_from_a_socket(signs: Signs):
    assert "pulse-live" in signs.pulse(EN)
    assert "pulse-opening" in signs.pulse(EN, "opening")
    assert "pulse-late" in signs.pulse(EN, "late")


@pytest.mark.parametrize("condition", ["live", "opening", "late"])
def test_a_pulse_is_stopped_everywhere_while_the_feed_is_silent(signs: Signs, condition: str):
    signs.store.stopped_at = signs.store.clock() - timedelta(seconds=7)
    pulse = signs.pulse(EN, condition)
    assert "pulse-stopped" in pulse
    assert f'<time datetime="{localtime(signs.store.stopped_at).isoformat()[:19]}' in pulse
    assert f">{localtime(signs.store.stopped_at):%H:%M:%S}</time>" in pulse
    assert "Kurse stehen seit" in signs.pulse(DE, condition)


def test_prices_that_stopped_on_another_day_show_the_day(signs: Signs):
    signs.store.stopped_at = signs.store.clock() - timedelta(days=3)
    written = f"{localtime(signs.store.stopped_at):%a&#160;%H:%M}"
    assert f">{written}</time>" in signs.pulse(EN)


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [(0.9, ""), (1, "over-1-minute"), (9.9, "over-1-minute"), (10, "over-10-minutes")],
)
def test_after_a_while_a_page_shows_for_how_long_prices_have_stopped(
    signs: Signs, minutes: float, shown: str
):
    signs.store.stopped_at = signs.store.clock() - timedelta(minutes=minutes)
    classes = re.search(r'class="([^"]*)"', signs.pulse(EN))
    assert classes
    assert " ".join(classes[1].split()[3:]) == shown


def announcement(signs: Signs, *given: str | int) -> tuple[str, str, bool]:
    """Return what screen readers announce at the end and during a silence, and if that is now."""
    sent = signs.sign(EN, *given)
    (found,) = re.findall(
        r'class="([^"]*)" role="status">(?:<[^>]*>){3}(.*?)(?:<[^>]*>){2}(.*?)<', sent
    )
    return found[1], found[2], "announced-now" in found[0]


def test_screen_readers_announce_once_a_page_that_prices_stopped_and_are_live_again(
    signs: Signs,
):
    silence = "Prices are not live."
    assert announcement(signs, "opening") == ("", silence, False)
    assert announcement(signs, "late", 1) == ("", silence, True)
    assert announcement(signs) == ("Prices are live again.", silence, False)
    for turn in TURNS:  # a page that notices a silence after a pulse must not announce its end
        assert announcement(signs, "live", turn) == ("", silence, False)
    signs.store.heard = False
    assert announcement(signs) == ("", silence, False)
    signs.store.stopped_at = signs.store.clock() - timedelta(seconds=7)
    words = f"Prices stopped at {localtime(signs.store.stopped_at):%H:%M:%S}"
    assert announcement(signs) == ("", words, True)


def test_the_next_pulse_has_other_names_of_animations(signs: Signs):
    assert 'class="quotes-pulse pulse-live turn-1"' in signs.pulse(EN)
    assert 'class="quotes-pulse pulse-live turn-2"' in signs.pulse(EN, turn=2)


@pytest.mark.parametrize(
    ("every", "names", "trigger"),
    [
        (5.0, "quotes-pulse pulse-live turn-3", "every 15s"),
        (0.5, "quotes-pulse pulse-live turn-3 pulse-fast", "every 2s"),
    ],
)
def test_a_sign_brings_the_clocks_that_go_with_its_pace(
    signs: Signs, settings: Any, every: float, names: str, trigger: str
):
    settings.QUOTES = {"PULSE": every}
    sign = signs.sign(EN)
    assert f'class="{names}"' in sign
    assert f'hx-trigger="{trigger}"' in sign
