"""Live quotes in any template: the output of the tags, and what the tags of one page share."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest
from django.template import Context, RequestContext, Template
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from quotes.models import LastQuote, Symbol
from quotes.quote.wire import to_wire
from quotes.watch import Edition

HOSTILE = """<img src=x onerror=alert(1)>"'&"""


@pytest.fixture
def listed(db: None, make_quote: Callable[..., Any]) -> None:
    """AAPL at 101, BTC-USD at 64000.01, and MSFT without a price; nothing live in this process."""
    for code, last in (("AAPL", "101"), ("BTC-USD", "64000.01"), ("MSFT", "")):
        symbol = Symbol.objects.create(code=code, name=f"{code} Inc.", kind="stock", currency="USD")
        if last:
            wire = to_wire(make_quote(code, last, received_at=timezone.now()))
            LastQuote.objects.create(symbol=symbol, epoch=1, batch=1, wire=wire)


@pytest.fixture
def partials(settings: Any, tmp_path: Path) -> Iterator[Path]:
    """A folder for templates of the site's own."""
    templates = dict(settings.TEMPLATES[0])
    templates["DIRS"] = [*templates["DIRS"], tmp_path]
    settings.TEMPLATES = [templates]
    return tmp_path


def render(source: str, request: HttpRequest | None = None, **given: Any) -> str:
    template = Template("{% load quotes %}" + source)
    context = Context(given) if request is None else RequestContext(request, given)
    return template.render(context)


@pytest.mark.django_db(transaction=True)
async def test_tags_in_an_async_view_read_the_database_if_nothing_is_live(make_quote: Any):
    # as under a WSGI server
    symbol = await Symbol.objects.acreate(code="AAPL", name="Apple", kind="stock", currency="USD")
    wire = to_wire(make_quote("AAPL", "101", received_at=timezone.now()))
    await LastQuote.objects.acreate(symbol=symbol, epoch=1, batch=1, wire=wire)
    page = render('{% live_quote "AAPL" %}{% static_quote "AAPL" %} {% quote_value "AAPL" %}')
    assert lasts(page) == [("AAPL", "101")]
    assert page.endswith(" 101.00")


def lasts(page: str) -> list[tuple[str, str]]:
    """The symbols and prices on a page, in order."""
    return re.findall(
        r'class="quote [^"]*" data-symbol="([^"]*)" data-way.*?<data [^>]*value="([^"]*)"',
        page,
        re.DOTALL,
    )


def loaded(page: str) -> list[str]:
    """The files that a page loads."""
    return re.findall(r'<(?:script type="module" src|link rel="stylesheet" href)="/([^"]*)"', page)


def watched(page: str) -> list[tuple[str, str]]:
    """Return what the tags of a page request from the socket."""
    return re.findall(r'class="quotes-watch" name="([^"]*)" value="([^"]*)"', page)


def ids(page: str) -> Counter[str]:
    return Counter(re.findall(r'\sid="([^"]*)"', page))


def test_a_table_shows_the_last_quotes_in_the_order_of_the_tag(listed: None):
    page = render('{% live_quotes "BTC-USD" "AAPL" %}')
    assert lasts(page) == [("BTC-USD", "64000.01"), ("AAPL", "101")]
    assert "64,000.01" in page
    assert watched(page) == [("symbols", "BTC-USD,AAPL")]


def test_a_line_of_text_has_a_live_price(listed: None):
    page = render('<p>One bitcoin is {% live_quote "BTC-USD" %} now.</p>')
    assert lasts(page) == [("BTC-USD", "64000.01")]
    assert watched(page) == [("price", "BTC-USD")]
    assert not re.search(r"<(div|p|table|section)\b", page.removeprefix("<p>"))


@pytest.mark.parametrize("tag", ['live_quotes "AAPL" "MSFT"', 'live_quote "AAPL"'])
def test_a_page_shows_at_once_the_sources_and_the_purpose_of_its_prices(
    listed: None, make_quote: Callable[..., Any], tag: str
):
    wire = to_wire(make_quote("AAPL", "101", provider="coinbase", received_at=timezone.now()))
    LastQuote.objects.filter(symbol__code="AAPL").update(wire=wire)
    page = html.unescape(render(f"{{% {tag} %}}" * 2))
    output = "Prices by Coinbase\N{NO-BREAK SPACE}· For information only, not for trading"
    first, further = page.split("quotes-further")
    assert first.count(output) == further.count(output) == 1
    assert "SIMULATED" not in page


def test_a_page_shows_at_once_that_its_prices_are_simulated(listed: None):
    assert "SIMULATED" in render('{% live_quotes "AAPL" %}')


def test_lists_and_single_codes_can_be_mixed(listed: None):
    page = render('{% live_quotes mine "BTC-USD" %}', mine=["MSFT", "AAPL"])
    assert [code for code, _ in lasts(page)] == ["MSFT", "AAPL", "BTC-USD"]


def test_codes_may_come_from_a_generator(listed: None):
    page = render("{% live_quotes mine %}", mine=(code for code in ("AAPL", "BTC-USD")))
    assert lasts(page) == [("AAPL", "101"), ("BTC-USD", "64000.01")]


def test_a_symbol_without_a_price_is_labelled(listed: None):
    assert "No price" in render('{% live_quotes "MSFT" %}')


def test_an_unknown_symbol_is_named_and_costs_the_others_nothing(listed: None):
    page = render('{% live_quotes "NONE" "AAPL" %}<p>{% live_quote "NEVER" %}</p>')
    assert lasts(page) == [("AAPL", "101")]
    assert "Unknown symbol: NONE" in page
    assert "Unknown symbol: NEVER" in page


def test_tags_of_an_empty_site_offer_the_command_that_fills_it_in_debug_mode(
    db: None, settings: Any
):
    tags = '{% live_quotes "AAPL" %}{% live_quote "MSFT" %}'
    assert "quotes_setup" not in render(tags)
    settings.DEBUG = True
    page = html.unescape(render(tags))
    for code in ("AAPL", "MSFT"):
        assert f"Unknown symbol: {code}. Run “manage.py quotes_setup” to load symbols." in page
    with translation.override("de"):
        assert html.unescape(render(tags)).count("„manage.py quotes_setup“ lädt Symbole.") == 2
    Symbol.objects.create(code="BTC-USD", name="Bitcoin", kind="crypto")
    assert "quotes_setup" not in render(tags)


def test_small_letters_name_the_same_symbol(listed: None):
    assert lasts(render('{% live_quotes "aapl" %}')) == [("AAPL", "101")]


def test_a_tag_without_codes_is_an_empty_table(listed: None):
    page = render("{% live_quotes mine %}", mine=[])
    assert "<table" in page
    assert lasts(page) == []


def test_hostile_codes_and_names_stay_text(listed: None):
    Symbol.objects.filter(code="AAPL").update(name=HOSTILE)
    page = render('{% live_quotes evil "AAPL" %}{% live_quote evil %}', evil=HOSTILE)
    assert "<img" not in page
    assert html.escape(HOSTILE) in page
    assert page.count("Unknown symbol: &lt;IMG") == 2


def test_numbers_are_in_the_language_of_the_page(listed: None):
    with translation.override("de"):
        page = render('{% live_quotes "BTC-USD" %}')
    assert "64.000,01" in page
    assert "lang=de" in page


def test_in_a_page_of_a_language_without_our_texts_quotes_are_english_as_a_whole(listed: None):
    with translation.override("fr"):
        page = render('{% live_quotes "BTC-USD" %}')
        assert translation.get_language() == "fr"
    assert "64,000.01" in page
    assert "lang=en" in page
    assert ">Time<" in page


@pytest.mark.urls("tests.browser.moved_urls")
def test_links_begin_with_the_language_of_each_page(listed: None):
    for language in ("en", "de"):
        with translation.override(language):
            page = render(
                '{% live_quotes "AAPL" %}{% static_quote "AAPL" base="http://a.example" %}'
            )
        assert f'<a href="/{language}/market/symbols/AAPL/"' in page
        assert f'<a href="http://a.example/{language}/market/symbols/AAPL/"' in page
        assert f'hx-get="/{language}/market/live/?opening=1' in page


@pytest.mark.parametrize("with_request", [True, False])
def test_each_tag_brings_all_it_needs_and_no_id(listed: None, with_request: bool, rf: Any):
    tags = ['{% live_quotes "BTC-USD" %}', '{% live_quotes "BTC-USD" "AAPL" %}']
    tags += ['{% live_quote "AAPL" %}']
    page = render("<hr>".join(tags), rf.get("/") if with_request else None)
    assert ids(page) == {}
    asked = [("symbols", "BTC-USD"), ("symbols", "BTC-USD,AAPL"), ("price", "AAPL")]
    for tag, watch in zip(page.split("<hr>"), asked, strict=True):
        assert len(loaded(tag)) == len(set(loaded(tag))) == 4
        assert watched(tag) == [watch]
        # the answer finds an opener beside what its tag watches
        assert re.search(r'form="quotes-none"><span class="quotes-opener" hx-get="/live/\?', tag)
        assert tag.count('class="quotes-pulse ') == 1
        assert "not for trading" in tag
    assert re.findall("quotes-first|quotes-further", page) == [
        "quotes-first",
        "quotes-further",
        "quotes-first",
    ]


def test_two_pages_share_no_state(listed: None, rf: Any):
    for request in (rf.get("/"), rf.get("/"), None, None):
        page = render('{% quotes_head %}{% live_quotes "AAPL" %}', request)
        assert len(loaded(page)) == 4
        assert "quotes-first" in page


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_price_in_a_line_has_at_most_2_kb(listed: None, language: str):
    Symbol.objects.filter(code="BTC-USD").update(name="Bitcoin")
    with translation.override(language):
        for page in render('{% live_quote "BTC-USD" %}<hr>{% live_quote "BTC-USD" %}').split(
            "<hr>"
        ):
            assert len(page.encode()) <= 2048


def test_a_tag_adds_no_space_to_its_line(listed: None):
    page = render('({% live_quote "AAPL" %})({% live_quote "AAPL" %})')
    assert re.match(r"\(<[^ ]", page)
    assert ")(<link" in page
    assert page.endswith("</span>)")


def test_a_page_with_an_end_of_its_own_gets_no_openers_and_no_notes_from_tags(listed: None):
    page = render('{% quotes_own_socket %}{% live_quotes "AAPL" %}{% live_quote "AAPL" %}')
    assert len(watched(page)) == 2
    assert not re.search("quotes-opener|quotes-notes|quotes-first|quotes-further", page)


@pytest.mark.parametrize("with_request", [True, False])
@pytest.mark.parametrize("how", ["", " only", ' with code="AAPL"'])
def test_tags_in_included_templates_belong_to_the_page(
    listed: None, partials: Path, rf: Any, with_request: bool, how: str
):
    (partials / "aside.html").write_text('{% load quotes %}{% live_quotes "AAPL" %}')
    source = f'{{% include "aside.html"{how} %}}<p>{{% live_quote "BTC-USD" %}}</p>'
    source += '{% for _ in "ab" %}{% include "aside.html" %}{% endfor %}'
    page = render(source, rf.get("/") if with_request else None)
    assert [code for code, _ in lasts(page)] == ["AAPL", "BTC-USD", "AAPL", "AAPL"]
    assert re.findall("quotes-first|quotes-further", page) == [
        *["quotes-first"] * 2,
        *["quotes-further"] * 2,
    ]


def test_tags_in_blocks_belong_to_the_page(listed: None, partials: Path):
    (partials / "base.html").write_text(
        "{% load quotes %}<head>{% quotes_head %}</head>{% block main %}{% endblock %}"
    )
    main = '{% block main %}{% live_quotes "AAPL" %}{% endblock %}'
    page = Template('{% extends "base.html" %}{% load quotes %}' + main).render(Context())
    head, _, body = page.partition("</head>")
    assert len(loaded(head)) == 4
    assert loaded(body) == []
    assert lasts(body) == [("AAPL", "101")]


def test_the_head_brings_style_and_htmx_in_this_order(listed: None):
    page = render('{% quotes_head %}{% live_quotes "AAPL" %}')
    names = [name.rpartition("/")[2] for name in loaded(page)]
    assert names == ["theme.css", "reset.css", "quotes.css", "htmx-4-with-ws.js"]


def test_a_site_with_htmx_of_its_own_gets_the_style_alone(listed: None):
    page = render('{% quotes_head htmx=False %}{% live_quotes "AAPL" %}{% live_quote "AAPL" %}')
    assert loaded(page) == [f"static/quotes/{name}.css" for name in ("theme", "reset", "quotes")]


@pytest.mark.parametrize("head", ["", "{% quotes_head %}"])
@pytest.mark.parametrize(
    ("version", "scripts"), [(4, set()), (2, {"ws-for-htmx-2.js"}), (None, {"htmx-4-with-ws.js"})]
)
def test_a_page_gets_the_script_that_its_htmx_lacks(
    listed: None, settings: Any, head: str, version: int | None, scripts: set[str]
):
    settings.QUOTES = {"HTMX": version}
    page = render(head + '{% live_quotes "AAPL" %}{% live_quote "AAPL" %}')
    names = {name.rpartition("/")[2] for name in loaded(page)}
    assert {name for name in names if name.endswith(".js")} == scripts
    assert ("htmx=2" in page) == (version == 2)


def test_tags_need_no_script_of_the_developer_and_none_inline(listed: None):
    page = render('{% live_quotes "BTC-USD" %}<p>{% live_quote "AAPL" %}</p>')
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|hx-on|js:", page)


def test_a_table_of_tags_takes_no_part_in_a_form_around_it(listed: None):
    page = render('<form>{% live_quotes "BTC-USD" %}{% live_quote "AAPL" %}</form>')
    inputs = re.findall(r"<input[^>]*>", page)
    assert len(inputs) == 2
    assert all('form="quotes-none"' in each for each in inputs)


def test_without_live_parts_a_tag_of_50_symbols_needs_as_many_queries_as_one_of_one(
    listed: None, make_quote: Callable[..., Any]
):
    codes = [f"S{number}" for number in range(50)]
    for code in codes:
        symbol = Symbol.objects.create(code=code, name=code, kind="etf", currency="USD")
        wire = to_wire(make_quote(code, "5", received_at=timezone.now()))
        LastQuote.objects.create(symbol=symbol, epoch=1, batch=1, wire=wire)
    with CaptureQueriesContext(connection) as one:
        render("{% live_quotes codes %}", codes=codes[:1])
    with CaptureQueriesContext(connection) as fifty:
        page = render("{% live_quotes codes %}", codes=codes)
    assert len(lasts(page)) == 50
    assert len(fifty) == len(one) <= 9


def test_without_live_parts_ten_tags_need_as_many_queries_as_one(listed: None):
    with CaptureQueriesContext(connection) as one:
        render('{% live_quote "AAPL" %}')
    with CaptureQueriesContext(connection) as ten:
        render('{% live_quote "AAPL" %}' * 10)
    assert len(ten) == len(one)


async def test_with_live_parts_tags_need_no_query(live_parts: Any, make_quote: Callable[..., Any]):
    # here, in the event loop, Django refuses to use the database
    aapl = Symbol(pk=1, code="AAPL", name="Apple", kind="stock", currency="USD")
    live_parts.store.keep([aapl])
    live_parts.store.put((1, 1), [make_quote("AAPL", "102", received_at=live_parts.store.clock())])
    page = render('{% live_quotes "AAPL" %}<p>{% live_quote "AAPL" %}</p>')
    assert lasts(page) == [("AAPL", "102"), ("AAPL", "102")]


async def test_the_table_and_the_price_are_the_bytes_that_the_socket_sends(
    live_parts: Any, make_quote: Callable[..., Any]
):
    aapl = Symbol(
        pk=1, code="AAPL", name="Apple", kind="stock", currency="USD", tick_size=Decimal("0.01")
    )
    live_parts.store.keep([aapl])
    live_parts.store.put((1, 1), [make_quote("AAPL", "102", received_at=live_parts.store.clock())])
    page = render('{% live_quotes "AAPL" %}<p>{% live_quote "AAPL" %}</p>')
    for widget in ("entry", "price"):
        assert live_parts.fragments.paint(widget, "AAPL", Edition("en")) in page
