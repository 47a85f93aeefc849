"""Prices where nothing can be live: titles, attributes, options, drawings, mail and feeds."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from django.core import mail
from django.template import Context, Template, TemplateSyntaxError
from django.utils import timezone, translation

from quotes.embeds.plain import FIELDS
from quotes.models import LastQuote, Symbol
from quotes.quote.wire import to_wire
from tests.servers import ROOT
from tests.snippets import snippets
from tests.test_docs import EMBEDDING
from tests.test_templatetags import HOSTILE, render

HTML_MAIL, TEXT_MAIL = snippets("jinja", ROOT / "docs" / "embedding.md")
SEND, FEED = (
    next(each for each in snippets("python") if word in each)
    for word in ("EmailMultiAlternatives", "syndication")
)
PLACES = next(each for each in snippets("django") if "<option>" in each)


@pytest.fixture
def real(listed: None, make_quote: Callable[..., Any]) -> None:
    """BTC-USD with a price of Coinbase that has a delay."""
    given = {"provider": "coinbase", "delay": 900, "received_at": timezone.now()}
    wire = to_wire(make_quote("BTC-USD", "64000.01", **given))
    LastQuote.objects.filter(symbol__code="BTC-USD").update(wire=wire)


class Words(HTMLParser):
    """The texts and attributes of a page, each with the element that it belongs to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tag, self.found = "", dict[str, str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tag = tag
        self.found |= {f"{tag} {name}": value or "" for name, value in attrs}

    def handle_data(self, data: str) -> None:
        self.found[self.tag] = self.found.get(self.tag, "") + data


def test_values_of_the_documents_stand_where_nothing_can_be_live(listed: None):
    found = Words(Template(PLACES).render(Context())).found
    assert found["title"].strip() == "Bitcoin 64,000.01 USD"
    assert found["meta content"] == "Bitcoin stands at 64,000.01 USD."
    assert found["option"].strip() == "Bitcoin, +63,900.01%"
    assert found["text"].strip() == "64,000.01"
    assert found["p"].strip() == "Prices are simulated."


def test_a_value_is_text_without_html_whatever_the_symbol_is_called(listed: None):
    Symbol.objects.filter(code="AAPL").update(name=HOSTILE)
    page = render("""<a title="{% quote_value 'AAPL' 'name' %}">{% quote_value evil %}</a>""",
                  evil=HOSTILE)  # fmt: skip
    found = Words(page).found
    assert found["a title"] == HOSTILE
    assert found["a"] == f"Unknown symbol: {HOSTILE.upper()}"


def test_a_tiny_price_has_all_its_digits(listed: None, make_quote: Callable[..., Any]):
    wire = to_wire(make_quote("AAPL", "0.00000512", received_at=timezone.now()))
    LastQuote.objects.filter(symbol__code="AAPL").update(wire=wire)
    assert render('{% quote_value "AAPL" %}') == "0.00000512"
    assert "0.00000512&nbsp;USD" in render('{% static_quote "AAPL" %}')


def test_a_value_can_be_kept_in_a_variable(listed: None):
    page = render('{% quote_value aapl "change_percent" as change %}{% if change %}{{ change }}'
                  "{% endif %}", aapl=Symbol.objects.get(code="AAPL"))  # fmt: skip
    assert page == "+1.00%"


def test_a_value_is_in_the_language_of_the_page(listed: None):
    with translation.override("de"):
        assert render('{% quote_value "BTC-USD" %}') == "64.000,01"
        assert render('{% quote_value "NOPE" %}') == "Unbekanntes Symbol: NOPE"
        assert render("{% quote_value None %}") == "Kein Symbol angegeben"


def test_every_field_of_the_documents_has_a_value(real: None):
    table = EMBEDDING.partition("| field | is, for example |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(FIELDS)
    for code in ("BTC-USD", "MSFT"):
        for name in named:
            assert "<" not in render("{% quote_value code name %}", code=code, name=name)


def test_an_unknown_field_is_refused_with_all_that_are_allowed(listed: None):
    with pytest.raises(TemplateSyntaxError, match="Unknown field 'lats', must be one of: last, "):
        render('{% quote_value "AAPL" "lats" %}')


def test_a_static_price_states_all_that_a_reader_elsewhere_must_know(real: None, rf: Any):
    page = render('{% static_quote "BTC-USD" %}', rf.get("/"))
    moment = r"[A-Z][a-z]+\.? \d+, \d{4}, \d\d:\d\d:\d\d UTC"
    assert re.fullmatch(
        r'<a href="http://testserver/symbols/BTC-USD/">BTC-USD Inc. \(BTC-USD\)</a>: '
        r"<b>64,000.01&nbsp;USD</b> ▲&nbsp;\+63,900.01% vs prev. close <small>\(Delayed 15 min, "
        rf"{moment}. Prices by Coinbase. For information only, not for trading\)</small>",
        page,
    )


def test_a_static_price_states_that_it_is_simulated(listed: None):
    page = render('{% static_quote "AAPL" %}')
    assert "SIMULATED prices, not a real market" in page
    assert "<a " not in page  # there is no host that it could lead to


def test_a_static_price_without_a_quote_or_a_symbol_names_that(listed: None):
    assert render('{% static_quote "MSFT" %}') == "MSFT Inc. (MSFT): No price"
    assert render('{% static_quote "NOPE" %}') == "Unknown symbol: NOPE"


def test_names_in_a_static_price_stay_text(listed: None):
    Symbol.objects.filter(code="AAPL").update(name=HOSTILE)
    assert "<img" not in render('{% static_quote "AAPL" %}{% static_quote "AAPL" text=True %}')


@pytest.mark.parametrize("base", ["site.example", "javascript://x", "https://site.example/a", 5])
def test_a_base_that_is_no_origin_is_refused(listed: None, base: object):
    with pytest.raises(TemplateSyntaxError, match="must be an origin, for example https://"):
        render('{% static_quote "AAPL" base=base %}', base=base)


@pytest.fixture
def templates(settings: Any, tmp_path: Path) -> None:
    """The templates of the documents, in a folder of the site."""
    (tmp_path / "mail.html").write_text(HTML_MAIL)
    (tmp_path / "mail.txt").write_text(TEXT_MAIL)
    # Django 6.1 warns of a site without it
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
    [given] = settings.TEMPLATES
    settings.TEMPLATES = [given | {"DIRS": [*given["DIRS"], tmp_path]}]


def test_the_mail_of_the_documents_has_the_price_as_html_and_as_text(real: None, templates: None):
    Symbol.objects.filter(code="BTC-USD").update(name="AT&T")
    given: dict[str, Any] = {}
    exec(SEND, given)
    given["send_price"]("alice@example.com")
    [sent] = mail.outbox
    link = "https://site.example/symbols/BTC-USD/"
    assert str(sent.body).startswith("AT&T (BTC-USD): 64,000.01 USD ▲ +63,900.01% vs prev. close (")
    assert str(sent.body).strip().endswith(f"not for trading) {link}")
    [(page, kind)] = sent.alternatives  # type: ignore[attr-defined]
    assert kind == "text/html"
    assert f'<a href="{link}">AT&amp;T (BTC-USD)</a>' in page
    assert not re.search(r"class=|style=|<link|<script", page)
    assert "For information only, not for trading" in page


def test_the_feed_of_the_documents_has_the_price(real: None, templates: None, rf: Any):
    given: dict[str, Any] = {}
    exec(FEED, given)
    answer = given["PriceFeed"]()(rf.get("/feed/"))
    [description] = ElementTree.fromstring(answer.content).iterfind(".//item/description")
    assert '<a href="https://site.example/symbols/BTC-USD/">' in str(description.text)
    assert "<b>64,000.01&nbsp;USD</b>" in str(description.text)
    assert "Prices by Coinbase" in str(description.text)
