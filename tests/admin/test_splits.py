"""The splits of a symbol in its form: whether a price has confirmed each of them."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from quotes.feed import records
from quotes.feed.held import SPLIT, Held
from quotes.models import HeldPrice, Split, Symbol
from quotes.quote import Quote, utc_now
from tests.admin.test_held_prices import member


@pytest.fixture
def apple(db: None) -> Symbol:
    given = {"name": "Apple", "kind": "stock", "exchange": "NASDAQ", "currency": "USD"}
    return Symbol.objects.create(code="AAPL", **given)


def form(client: Client, symbol: Symbol) -> str:
    return client.get(f"/admin/quotes/symbol/{symbol.pk}/change/").content.decode()


def state(client: Client, symbol: Symbol) -> str:
    """The state of the only split of a symbol."""
    cell = re.findall(r'<td class="field-seen">(.*?)</td>', form(client, symbol), re.DOTALL)[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", cell)).split())


def entered(split: Split, days_ago: int) -> None:
    """Let a split be entered some days ago."""
    Split.objects.filter(pk=split.pk).update(entered_at=utc_now() - timedelta(days=days_ago))


def confirmed(symbol: Symbol, make_quote: Any) -> Quote:
    """Store the price that confirms the split of a symbol, as the feed does."""
    price: Quote = make_quote(symbol.code, "1067.91", received_at=utc_now())
    [known] = records.load_splits()
    records.save_held_prices([Held(price, 4 * price.last, SPLIT, split=known)])
    return price


def test_a_split_waits_for_its_price_and_then_names_it(
    alice: Client, apple: Symbol, make_quote: Any
):
    apple.splits.create(day=utc_now().date() + timedelta(days=1), new=4)
    assert state(alice, apple) == "waits for its price"
    at = timezone.localtime(confirmed(apple, make_quote).received_at)
    assert re.fullmatch(r"confirmed at .* by the price 1,067.91", state(alice, apple))
    assert f"{at:%Y}" in state(alice, apple)
    page = alice.get("/admin/quotes/heldprice/").content.decode()
    assert "split 4:1, after 4,271.64" in page
    assert "accepted as a split" in page


def test_a_split_without_its_price_was_not_seen(alice: Client, apple: Symbol):
    split = apple.splits.create(day=utc_now().date() - timedelta(days=12), new=4)
    assert state(alice, apple) == "entered after its day"
    entered(split, days_ago=20)
    assert state(alice, apple) == "not seen"


def test_a_corrected_split_must_be_confirmed_again(alice: Client, apple: Symbol, make_quote: Any):
    split = apple.splits.create(day=utc_now().date(), new=4)
    confirmed(apple, make_quote)
    for new, kept in (("4", True), ("10", False)):
        assert save(alice, split, new=new).status_code == 302
        split.refresh_from_db()
        assert (split.confirmed_at is not None) == kept


def save(client: Client, split: Split, **entered: str) -> Any:
    """Save the form of a symbol with its only split."""
    symbol = split.symbol
    row = {"id": split.pk, "symbol": symbol.pk, "day": split.day, "new": split.new, "old": 1}
    given = {"code": "AAPL", "name": "Apple", "kind": "stock", "exchange": "NASDAQ"}
    given |= {"currency": "USD", "active": "on", "accepted": ""}
    given |= {f"splits-0-{name}": str(value) for name, value in (row | entered).items()}
    for each in ("provider_symbols", "places", "aliases", "splits"):
        given |= {f"{each}-{total}": "0" for total in ("TOTAL_FORMS", "INITIAL_FORMS")}
    given |= {"splits-TOTAL_FORMS": "1", "splits-INITIAL_FORMS": "1"}
    return client.post(f"/admin/quotes/symbol/{symbol.pk}/change/", given)


def test_a_split_that_was_entered_after_its_price_is_confirmed_by_hand(
    alice: Client, apple: Symbol, make_quote: Any
):
    split = apple.splits.create(day=utc_now().date() - timedelta(days=3), new=4)
    assert 'name="splits-0-confirmed"' in form(alice, apple)
    assert save(alice, split, confirmed="on").status_code == 302
    assert re.fullmatch(r"confirmed by hand at .*", state(alice, apple))
    [known] = records.load_splits()
    assert known.confirmed
    history = alice.get(f"/admin/quotes/symbol/{apple.pk}/history/").content.decode()
    assert "Confirmed: from “no” to “yes”" in history
    assert re.search(r'name="splits-0-confirmed"[^>]*disabled', form(alice, apple))


def test_a_split_is_not_confirmed_by_hand_before_its_day(alice: Client, apple: Symbol):
    split = apple.splits.create(day=utc_now().date() + timedelta(days=2), new=4)
    answer = save(alice, split, confirmed="on")
    assert "The split is on a later day." in answer.content.decode()
    split.refresh_from_db()
    assert split.confirmed_at is None


def test_a_viewer_sees_splits_and_confirms_none(apple: Symbol):
    split = apple.splits.create(day=utc_now().date() - timedelta(days=3), new=4)
    bob = member("bob", "Quotes viewer")
    assert "entered after its day" in form(bob, apple)
    assert save(bob, split, confirmed="on").status_code == 403
    split.refresh_from_db()
    assert split.confirmed_at is None


def test_a_held_price_names_the_split_that_would_give_another_one(
    alice: Client, apple: Symbol, make_quote: Any
):
    apple.splits.create(day=date(2026, 3, 2), new=10)
    held = make_quote("AAPL", "67.91", received_at=utc_now())
    HeldPrice.objects.create(
        symbol=apple, at=held.received_at, provider="yahoo", currency="USD", last="67.91",
        before="271.64", limit="0.3", outcome="waits", split="10:1",
    )  # fmt: skip
    page = alice.get("/admin/quotes/heldprice/").content.decode()
    assert "jump of more than 30% from 271.64; the split 10:1 would give about 27.16" in page
