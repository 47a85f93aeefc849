"""Tests of the documents: commands exist and run, snippets work, every setting is named."""

from __future__ import annotations

import re
import subprocess
from configparser import RawConfigParser
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, get_commands
from django.http import QueryDict
from django.template import Context, Template
from django.urls import NoReverseMatch

from quotes import conf
from quotes.addresses import Address
from quotes.boards import BoardView
from quotes.candles.figures import Figures
from quotes.charts.forms import KINDS, SCALES
from quotes.charts.ranges import RANGES
from quotes.fragments import Fragments
from quotes.graphs import as_csv
from quotes.models import Board, Symbol
from quotes.quote import Quote
from quotes.shown.panels import Panel
from quotes.staff.groups import GROUPS
from quotes.store import State, Store
from quotes.watch import Edition, Watch, places
from tests.servers import ROOT
from tests.snippets import DOCUMENTS, snippets
from tests.test_layout import MODULES, QUOTES, ROOMS

EMBEDDING = (ROOT / "docs" / "embedding.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()


def test_the_first_screen_of_the_readme_shows_the_page():
    top = (ROOT / "README.md").read_text().splitlines()[:12]
    assert any("docs/board-light.png" in line for line in top)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_of_a_document_leads_somewhere(path: Path):
    for target in re.findall(r"\]\(([^)]+)\)|src(?:set)?=\"([^\"]+)\"", path.read_text()):
        name, _, anchor = "".join(target).partition("#")
        if not name.startswith("http"):
            found = path.parent / name if name else path
            assert found.exists(), name
            assert not anchor or anchor in anchors(found), f"{name}#{anchor}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_uses_plain_words(path: Path):
    prose = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(), flags=re.DOTALL)
    prose = " ".join(prose.split())
    unclear = (
        r"\b(tells?|told|telling|says?|said|asks|asked|asking|recommends? to|anew|seldom\w*|whom"
        r"|(?:names|those) who|for ever|shall|without a word|(?<!there )(?:is|are) no(?! longer))\b"
        r"|(?<=[.;*] )(?:What|Who)\b[^.?|]*\."  # a relative clause as a subject
    )
    assert re.findall(unclear, prose, re.IGNORECASE) == []


def test_every_promise_names_a_test_that_exists():
    document = (ROOT / "docs" / "reliability.md").read_text().partition("\n## What was")[0]
    promises = re.findall(r"\[`(test_\w+)`\]\(\.\./(tests/\S+?\.py)\) \|$", document, re.MULTILINE)
    assert len(promises) == document.count("\n| ") - 1, "each row of the table ends with its test"
    for name, path in promises:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path} has no {name}"


def test_every_module_has_its_row_in_the_architecture():
    document = (ROOT / "docs" / "architecture.md").read_text()
    families = (
        QUOTES / "providers",
        QUOTES / "management" / "commands",
    )  # a row for each is enough
    expected = {
        f"../{path.relative_to(ROOT).as_posix()}"
        for path in MODULES
        if path.name != "__init__.py" and path.parent not in families
    }
    named = set(re.findall(r"\]\(([^)#]+\.py)\)", document.partition("## The modules")[2]))
    assert sorted(expected - named) == []


def test_the_order_of_the_rooms_in_the_architecture_is_the_one_that_holds():
    document = (ROOT / "docs" / "architecture.md").read_text()
    assert f"```{ROOMS}```" in document


def test_every_make_target_in_the_documents_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join([*snippets("sh"), *(path.read_text() for path in DOCUMENTS)])
    named = set(re.findall(r"(?:^|`|=\S+ )make ([a-z]+)(?= |`|$)", text, re.MULTILINE))
    assert {"run", "test"} <= named <= targets


def test_the_supported_versions_in_the_documents_are_those_of_the_package():
    package = (ROOT / "pyproject.toml").read_text()
    pythons = re.findall(r'"Programming Language :: Python :: 3\.(\d+)"', package)
    djangos = re.findall(r'"Framework :: Django :: ([\d.]+)"', package)
    output = f"Python 3.{pythons[0]} to 3.{pythons[-1]} and Django {djangos[0]} to {djangos[-1]}"
    for name in ("README.md", "CHANGELOG.md", "docs/embedding.md"):
        assert output in " ".join((ROOT / name).read_text().split()), name


def test_the_wheel_in_the_documents_is_the_one_that_is_built():
    package = (ROOT / "pyproject.toml").read_text()
    [version] = re.findall(r'^version = "(.*)"$', package, re.MULTILINE)
    named = set(re.findall(r"[\w.-]+\.whl", EMBEDDING))
    assert named == {f"quoteboard-{version}-py3-none-any.whl"}


def test_every_management_command_in_the_documents_exists():
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    named = set(re.findall(r"manage\.py ([a-z_]+)", text))
    assert {"loadcatalogue", "runfeed"} <= named <= set(get_commands())


def test_the_groups_of_users_in_the_documents_are_those_that_are_made():
    document = (ROOT / "docs" / "operations.md").read_text()
    assert re.findall(r"^\| (Quotes \w+) \|", document, re.MULTILINE) == list(GROUPS)


def test_the_units_of_systemd_run_our_commands_with_the_settings_of_the_first_start():
    units = snippets("ini", ROOT / "docs" / "operations.md")
    services = []
    for unit in units:
        parser = RawConfigParser()
        parser.read_string(unit)
        services.append(parser["Service"])
    [first, *_] = snippets("sh", ROOT / "docs" / "operations.md")
    for service in services:
        folder, file = service["WorkingDirectory"], service["EnvironmentFile"]
        assert f"> {file.removeprefix(f'{folder}/')}\n" in first
        assert service["ExecStart"].startswith(f"{folder}/.venv/bin/python manage.py ")
    assert [each["ExecStart"].split()[2] for each in services] == ["serve", "runfeed"]


def test_settings_in_the_documented_file_reach_a_shell_with_all_their_characters(tmp_path: Path):
    [example] = snippets("dotenv")
    (tmp_path / "quoteboard.env").write_text(example)
    command = ["sh", "-c", "set -a; . ./quoteboard.env; set +a; env"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    for line in example.splitlines():
        name, _, value = line.partition("=")
        assert f"{name}={value.strip(chr(39))}" in found.splitlines()
    assert "&" in example


@pytest.mark.django_db
def test_the_catalogue_command_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    [line] = [
        line for block in snippets("sh") for line in block.splitlines() if "my-symbols" in line
    ]
    [example] = snippets("csv", ROOT / "README.md")
    (tmp_path / "my-symbols.csv").write_text(example)
    monkeypatch.chdir(tmp_path)
    call_command(*line.partition("manage.py ")[2].split(), verbosity=0)
    listed = Board.objects.get(slug="my-board").symbols.values_list("code", flat=True)
    assert sorted(listed) == ["AAPL", "BTC-USD"]


@pytest.mark.django_db
@pytest.mark.parametrize("snippet", snippets("django"))
def test_a_template_in_the_documents_renders(snippet: str):
    call_command("loadcatalogue", verbosity=0)
    page = Template(snippet).render(Context({"watched_codes": ["BTC-USD", "AAPL"]}))
    assert page.index("theme.css") < page.index("quotes.css")
    assert "Unknown" not in page


@pytest.mark.django_db
def test_a_site_without_our_pages_raises_the_error_in_the_documents(settings: Any):
    settings.ROOT_URLCONF = "django.contrib.auth.urls"
    [message] = re.findall(r"`quotes.W017`, or `([^`]*)`", EMBEDDING)
    with pytest.raises(NoReverseMatch, match=f"^{message}$"):
        Template('{% load quotes %}{% live_quote "AAPL" %}').render(Context())


def shown_names() -> set[str]:
    """Return the first part of each `shown.…` in our templates."""
    templates = (ROOT / "templates" / "quotes").glob("*.html")
    return {
        name
        for path in templates
        for name in re.findall(r"\bshown\.(\w+)", path.read_text())
        if name not in ("symbol", "quote")
    }


def documented_names() -> list[str]:
    """Return the names in the table of `shown.…`."""
    table = EMBEDDING.partition("| `shown.…` |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)]


def quote_of(code: str, last: str) -> Quote:
    """Return a quote of now."""
    return Quote(
        symbol=code,
        provider="kraken",
        currency="USD",
        last=Decimal(last),
        received_at=datetime.now(UTC),
    )


def test_the_table_of_context_variables_has_all_that_our_templates_use():
    assert shown_names() <= set(documented_names())


def test_every_context_variable_in_the_table_exists():
    symbol = Symbol(pk=1, code="AAPL", name="Apple Inc.", kind="stock", exchange="NASDAQ")
    quote = quote_of("AAPL", "101")
    shown = Panel(State(symbol, quote), "en", Figures())
    for name in documented_names():
        shown_or_symbol = shown[name] if "." not in name else getattr(symbol, name[7:])
        assert isinstance(shown_or_symbol, str | tuple | bool), name


@pytest.mark.django_db
def test_a_template_of_the_site_replaces_ours_and_updates_find_its_element(
    tmp_path: Path, settings: Any
):
    [snippet] = snippets("htmldjango")
    (tmp_path / "quotes").mkdir()
    (tmp_path / "quotes" / "_price.html").write_text(snippet)
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [tmp_path, ROOT / "templates"]}]
    call_command("loadcatalogue", verbosity=0)
    store = Store(stale_after=conf.get("STALE_AFTER"))
    store.keep(Symbol.objects.filter(code="BTC-USD"))
    store.put((1, 1), [quote_of("BTC-USD", "64000.5")])
    watch = Watch(Edition("en"), places(price=["BTC-USD"]))
    update = Fragments(store).snapshot(watch)
    assert re.match(
        r"<span hx-swap-oob=\"outerMorph:.quote-price\[data-symbol='BTC-USD'\]\" class=", update
    )
    assert re.search(
        r'Bitcoin: <data data-field="last" value="64000.5">64,000.50</data> USD', update
    )


def test_the_documented_header_has_the_boards_and_a_link_to_the_site():
    [snippet] = snippets(r"html\+django")
    boards = [BoardView("crypto", "Crypto"), BoardView("indices", "Indices")]
    page = Template(snippet).render(Context({"boards": boards, "board": boards[0]}))
    assert '<a class="brand" href="/">My site</a>' in page
    assert '<a href="/boards/crypto/" aria-current="page">Crypto</a>' in page
    assert '<a href="/boards/indices/">Indices</a>' in page
    base = (ROOT / "templates" / "quotes" / "base.html").read_text()
    assert '{% include "quotes/_top.html" %}' in base


def test_the_parameters_of_a_chart_in_the_documents_are_those_that_exist():
    text = EMBEDDING.partition("## Addresses of charts")[2].partition("## Sockets")[0]
    known = {"range": RANGES, "kind": KINDS, "scale": SCALES}
    for name, values in known.items():
        [cell] = re.findall(rf"^\| `{name}` \| ([^|]*) \|", text, re.MULTILINE)
        assert re.findall(r"`(\w+)`", cell) == list(values)
    assert f"\n{as_csv(Symbol(code='AAPL'), []).strip()}\n" in text


@pytest.mark.parametrize(
    ("given", "charts"),
    [
        ("1y.candles/AAPL,/SPY", [("1y", "candles", "", ("SPY",), "AAPL")]),
        (
            "1y.candles/AAPL,/SPY,1d/BTC-USD",
            [("1y", "candles", "", ("SPY",), "AAPL"), ("1d", "", "", (), "BTC-USD")],
        ),
    ],
)
def test_a_socket_in_the_documents_has_these_charts(given: str, charts: list[Any]):
    assert f"chart={given}" in EMBEDDING
    address = Address.read(QueryDict(f"chart={given}"))
    found = [(form.range, form.kind, form.scale, form.others, code) for form, code in address.chart]
    assert found == charts


@pytest.mark.parametrize("snippet", snippets("python"))
def test_python_in_the_documents_is_python(snippet: str):
    compile(snippet, "a document", "exec")


def test_settings_in_the_documents_are_settings():
    for snippet in snippets("python"):
        if "QUOTES = " in snippet:
            given: dict[str, dict[str, object]] = {}
            exec(snippet, given)
            assert given["QUOTES"].keys() <= conf.DEFAULTS.keys()


def test_every_environment_variable_is_documented():
    site = ROOT / "site" / "quoteboard"
    source = "".join((site / f"{name}.py").read_text() for name in ("settings", "environment"))
    read = set(re.findall(r'"((?:DJANGO|QUOTES|DATABASE|REDIS)_[A-Z_]+)"', source))
    read -= {"DJANGO_SETTINGS_MODULE"}
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", CONFIGURATION.partition("## The app")[0]))
    assert read <= named
    assert named - read <= {
        "COINBASE_REST_URL",
        "COINBASE_WS_URL",
        "SIMULATED_HOURS",
        "SIMULATED_RATE",
        "SIMULATED_SEED",
    }


def test_every_key_of_the_app_is_documented():
    table = CONFIGURATION.partition("## The app")[2]
    assert set(re.findall(r"^\| `([A-Z_]+)`", table, re.MULTILINE)) == conf.DEFAULTS.keys()


def themed(css: str) -> dict[str, tuple[str, ...]]:
    """Return the custom properties of a stylesheet; a colour has a light and a dark value."""
    found = dict(re.findall(r"(--quotes-[a-z-]+): ([^;]+);", css))
    return {
        name: tuple(re.findall(r"#\w+", value)) for name, value in found.items() if "#" in value
    } | {"--quotes-font": ()}


THEME = (ROOT / "quotes" / "static" / "quotes" / "theme.css").read_text()


def test_every_custom_property_of_the_theme_is_documented():
    table = re.findall(r"^\| `(--quotes-[a-z-]+)` \|", EMBEDDING, re.MULTILINE)
    assert sorted(table) == sorted(themed(THEME))


def luminance(colour: str) -> float:
    """Return the relative luminance of #rgb or #rrggbb, as WCAG 2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_colours_of_the_example_can_be_read_in_both_schemes(scheme: int):
    theme = themed(THEME + snippets("css")[0])
    colours = {name[9:]: value[scheme] for name, value in theme.items() if value}
    for change in ("gain", "loss"):
        for ground in ("ground", "surface", f"{change}-wash"):
            assert contrast(colours[change], colours[ground]) >= 4.5, (change, ground)
        assert contrast(colours["ink"], colours[f"{change}-wash"]) >= 4.5
