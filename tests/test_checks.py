"""System checks: errors in the settings name what was given and what is allowed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from csp.constants import NONCE, SELF
from django.core.checks import CheckMessage
from django.core.checks.registry import registry
from django.core.exceptions import ImproperlyConfigured
from pytest_django import DjangoDbBlocker
from quoteboard import environment as site

from quotes import conf
from quotes.checks.installation import (
    check_apps,
    check_servers,
    check_tables,
    check_templates,
    check_urls,
)
from quotes.checks.settings import check_queries, check_settings, refuse_wrong_settings
from quotes.models import Symbol
from quotes.providers import REGISTRY
from quotes.quote.texts import one_line
from tests.conftest import lacking
from tests.servers import ROOT, Redis, manage, python
from tests.stubs.database import QUERY, Table, sqlite


def errors(settings: Any, **quotes: Any) -> list[CheckMessage]:
    settings.QUOTES = quotes
    return check_settings()


def the_error(settings: Any, **quotes: Any) -> CheckMessage:
    [error] = errors(settings, **quotes)
    assert error.is_serious()
    return error


class TestTheDict:
    def test_nothing_set_is_fine(self, settings: Any):
        assert errors(settings) == []

    def test_the_sites_own_settings_are_fine(self):
        assert check_settings() == []

    def test_an_unknown_key_is_named_with_those_that_there_are(self, settings: Any):
        error = the_error(settings, PACES=1)
        assert error.id == "quotes.E001"
        assert error.msg.startswith("Unknown key 'PACES' in QUOTES, must be one of: ")
        assert all(name in error.msg for name in conf.DEFAULTS)

    def test_an_unknown_key_stops_whoever_reads_a_setting(self, settings: Any):
        settings.QUOTES = {"PACES": 1}
        with pytest.raises(ImproperlyConfigured, match="Unknown key 'PACES'"):
            conf.get("PACE")

    def test_a_setting_that_is_not_given_has_its_default(self, settings: Any):
        settings.QUOTES = {"PACE": 1.0}
        assert conf.get("PACE") == 1.0
        assert conf.get("PAGE_SIZE") == conf.DEFAULTS["PAGE_SIZE"]

    def test_an_unknown_feed_is_named_with_those_that_there_are(self, settings: Any):
        error = the_error(settings, FEED="sideways")
        assert error.id == "quotes.E002"
        assert "'sideways', must be one of: inline, external" in error.msg

    @pytest.mark.parametrize("given", [1, 3, "2", "4", [2]])
    def test_another_version_of_htmx_is_named_with_those_that_there_are(
        self, settings: Any, given: Any
    ):
        error = the_error(settings, HTMX=given)
        assert error.id == "quotes.E014"
        assert f"HTMX'] is {given!r}, must be 2 or 4" in error.msg

    @pytest.mark.parametrize("given", ["htmx.js", None, [""], [7], {"htmx.js"}])
    def test_a_copy_of_htmx_that_is_not_a_list_of_files_is_named(self, settings: Any, given: Any):
        error = the_error(settings, HTMX_SCRIPTS=given)
        assert error.id == "quotes.E014"
        assert f"HTMX_SCRIPTS'] is {given!r}, must be a list of static files" in error.msg

    def test_the_versions_of_htmx_and_a_copy_of_it_are_fine(self, settings: Any):
        for version in (None, 2, 4):
            assert errors(settings, HTMX=version, HTMX_SCRIPTS=["htmx.js", "/a.js"]) == []

    def test_an_unknown_provider_is_named_with_those_that_exist(self, settings: Any):
        error = the_error(settings, PROVIDERS=["simulated", "yaho"])
        assert error.id == "quotes.E005"
        assert error.msg == f"Unknown provider 'yaho', must be one of: {', '.join(REGISTRY)}"

    def test_an_option_that_a_provider_lacks_is_named(self, settings: Any):
        error = the_error(settings, PROVIDER_OPTIONS={"simulated": {"speed": 9}})
        assert error.msg.startswith("Unknown option 'speed' of the simulated provider")
        assert "must be one of: rate, seed" in error.msg

    def test_an_unusable_value_of_an_option_is_named(self, settings: Any):
        error = the_error(settings, PROVIDER_OPTIONS={"simulated": {"rate": "fast"}})
        assert "Unexpected rate 'fast', must be a number" in error.msg

    def test_an_option_is_named_as_its_variable_too(self, settings: Any):
        options = {"simulated": {"rate": "0", "seed": "monday"}}
        assert (
            "(in this project, SIMULATED_RATE),"
            in the_error(settings, PROVIDER_OPTIONS=options).hint
        )
        urls = {"rest_url": "nowhere", "ws_url": "wss://ok.example"}
        error = the_error(settings, PROVIDER_OPTIONS={"coinbase": urls})
        assert "(in this project, COINBASE_REST_URL, COINBASE_WS_URL)," in error.hint

    def test_each_wrong_provider_has_an_error_of_its_own(self, settings: Any):
        assert len(errors(settings, PROVIDERS=["yaho", "gogl", "simulated"])) == 2

    @pytest.mark.parametrize("given", ["simulated", "", None, {"simulated"}, [7], [["simulated"]]])
    def test_providers_that_are_not_a_list_of_names_are_one_error(self, settings: Any, given: Any):
        error = the_error(settings, PROVIDERS=given)
        assert error.id == "quotes.E013"
        assert error.msg == (
            f"QUOTES['PROVIDERS'] is {given!r}, must be a list of names: ['simulated']"
        )

    @pytest.mark.parametrize("given", ["rate=9", None, [("rate", 9)], {"simulated": "rate=9"}])
    def test_options_that_are_not_dicts_are_one_error(self, settings: Any, given: Any):
        error = the_error(settings, PROVIDER_OPTIONS=given)
        assert error.id == "quotes.E013"
        assert error.msg.startswith("QUOTES['PROVIDER_OPTIONS'] must be a dict of dicts: ")

    def test_that_is_not_a_dict_is_one_error(self, settings: Any):
        settings.QUOTES = ["simulated"]
        [error] = check_settings()
        assert (error.id, error.msg) == ("quotes.E013", "QUOTES is ['simulated'], must be a dict")

    def test_a_missing_layer_is_named(self, settings: Any):
        error = the_error(settings, CHANNEL_LAYER="fast")
        assert error.id == "quotes.E003"
        assert "'fast', which is missing in CHANNEL_LAYERS" in error.msg

    def test_a_feed_of_its_own_needs_a_layer_between_processes(self, settings: Any):
        settings.CHANNEL_LAYERS = {
            "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
        }
        error = the_error(settings, FEED="external")
        assert error.id == "quotes.E004"
        assert error.msg.startswith("QUOTES['FEED'] is 'external', which needs a channel layer")
        assert error.hint
        assert "REDIS_URL" in error.hint

    def test_a_feed_of_its_own_needs_no_layer_in_a_site_without_asgi(self, settings: Any):
        settings.ASGI_APPLICATION, settings.CHANNEL_LAYERS = None, {}
        assert errors(settings, FEED="external") == []
        [warning, _] = check_servers()
        assert "manage.py runfeed" in str(warning.hint)

    @pytest.mark.parametrize("given", [0, -1, "5", None, True, {}, float("nan"), float("inf")])
    def test_a_pace_must_be_a_number_above_zero(self, settings: Any, given: Any):
        error = the_error(settings, PACE=given)
        assert error.id == "quotes.E006"
        assert error.msg == f"QUOTES['PACE'] is {given!r}, must be a number above 0"

    @pytest.mark.parametrize("name", ["PAGE_SIZE", "MAX_SYMBOLS"])
    @pytest.mark.parametrize("given", [0, -1, "5", None, True, 12.5])
    def test_a_count_must_be_a_whole_number_above_zero(self, settings: Any, name: str, given: Any):
        # half a row fails every board's page, and not at start
        error = the_error(settings, **{name: given})
        assert error.id == "quotes.E007"
        assert error.msg == f"QUOTES[{name!r}] is {given!r}, must be a whole number above 0"

    @pytest.mark.parametrize("given", [0, -1, "5", None, 3])
    def test_a_pulse_must_be_one_that_the_stylesheet_has_a_clock_for(
        self, settings: Any, given: Any
    ):
        error = the_error(settings, PULSE=given)
        assert error.id == "quotes.E009"
        assert error.msg == f"QUOTES['PULSE'] is {given!r}, must be one of: 5.0, 0.5"

    @pytest.mark.parametrize("name", ["MAX_JUMP", "STALE_AFTER", "RETENTION", "BACKFILL"])
    def test_a_dict_has_numbers_by_the_keys_of_its_default(self, settings: Any, name: str):
        keys = list(conf.DEFAULTS[name])
        allowed = ", ".join(map(str, keys))
        assert errors(settings, **{name: {keys[0]: 0.5}}) == []
        error = the_error(settings, **{name: {"kripto": 1}})
        assert error.id == "quotes.E010"
        assert error.msg == f"Unknown key 'kripto' in QUOTES[{name!r}], must be one of: {allowed}"
        error = the_error(settings, **{name: 0.3})
        assert error.id == "quotes.E010"
        assert error.msg == f"QUOTES[{name!r}] is 0.3, must be a dict with the keys: {allowed}"

    @pytest.mark.parametrize("given", [0, -1, "5", None, True, float("nan"), float("inf")])
    def test_a_number_in_a_dict_must_be_above_zero(self, settings: Any, given: Any):
        error = the_error(settings, RETENTION={60: given})
        assert error.id == "quotes.E010"
        assert error.msg == f"QUOTES['RETENTION'][60] is {given!r}, must be a number above 0"

    def test_a_site_may_request_no_old_candles(self, settings: Any):
        assert errors(settings, BACKFILL={60: 0, 300: 0.0}) == []
        error = the_error(settings, BACKFILL={60: -1})
        assert error.msg == "QUOTES['BACKFILL'][60] is -1, must be a number, 0 or larger"

    @pytest.mark.parametrize("name", ["ORIGINS", "EMBED_ORIGINS"])
    def test_an_origin_is_a_scheme_and_a_host(self, settings: Any, name: str):
        good = ["https://partner.example", "http://127.0.0.1:8000", "http://[::1]:80"]
        assert errors(settings, **{name: good}) == []
        for given in ("partner.example", "https://partner.example/", "https://Partner.example", 7):
            error = the_error(settings, **{name: [*good, given]})
            assert error.id == "quotes.E011"
            assert error.msg == (
                f"Unexpected value {given!r} in QUOTES[{name!r}], must be a list of origins, "
                "for example https://partner.example, in small letters and without a path"
            )
            assert error.hint == f"In this project, correct QUOTES_{name}."

    def test_every_subdomain_of_a_site_may_frame_a_page(self, settings: Any):
        assert errors(settings, EMBED_ORIGINS=["https://*.partner.example"]) == []
        assert errors(settings, ORIGINS=["https://*.partner.example"])
        assert errors(settings, EMBED_ORIGINS=["https://*.*.example"])

    @pytest.mark.parametrize("name", ["ORIGINS", "EMBED_ORIGINS", "METRICS_FROM"])
    def test_a_text_in_place_of_a_list_is_one_error(self, settings: Any, name: str):
        error = the_error(settings, **{name: "https://partner.example"})
        assert f"'https://partner.example' in QUOTES['{name}'], must be a list of" in error.msg

    @pytest.mark.parametrize("name", ["ORIGINS", "EMBED_ORIGINS"])
    @pytest.mark.parametrize(
        "given",
        [
            "https://partner.example:99999",
            "https://partner.example:0",
            "https://partner..example",
            "https://.partner.example",
            "https://[:::]",
            "https://[::1",
            "https://me:hush@partner.example",
            "https://b\xfccher.example",
            "https://",
            "null",
            "*",
        ],
    )
    def test_an_origin_that_no_browser_sends_is_refused(self, settings: Any, name: str, given: str):
        assert the_error(settings, **{name: [given]}).id == "quotes.E011"

    def test_the_figures_are_for_addresses_and_networks(self, settings: Any):
        good = [
            "192.0.2.7",
            "2001:DB8::1",
            "10.0.0.0/8",
            "fd00::/8",
            "::ffff:10.0.0.1",
            "0.0.0.0/0",
        ]
        assert errors(settings, METRICS_FROM=good) == []
        for given in ("10.0.0.0/33", "localhost", "", "*", "[::1]", "10.1", "fe80::1%eth0", 7):
            error = the_error(settings, METRICS_FROM=[given])
            assert error.id == "quotes.E011"
            assert error.msg == (
                f"Unexpected value {given!r} in QUOTES['METRICS_FROM'], must be a list of "
                "IP addresses and networks, for example 127.0.0.1 or 10.0.0.0/8"
            )

    def test_the_name_of_a_deployment_fits_into_the_layer(self, settings: Any):
        assert errors(settings, DEPLOYMENT="staging-2.example_1") == []
        for given in ("two words", "ä", "x" * 65, None):
            error = the_error(settings, DEPLOYMENT=given)
            assert error.id == "quotes.E012"
            assert error.msg.startswith(f"Unexpected value {given!r} in QUOTES['DEPLOYMENT'], must")

    @pytest.mark.parametrize("given", [None, "", "/market", "/a/b-c_d.e~f"])
    def test_a_site_may_be_below_a_prefix(self, settings: Any, given: Any):
        settings.FORCE_SCRIPT_NAME = given
        assert errors(settings) == []

    @pytest.mark.parametrize(
        "given", ["/", "market", "/market/", "//evil.example", "/a b", "/a/../b", "/m?x", "/ä", 7]
    )
    def test_a_prefix_that_addresses_can_not_begin_with_is_refused(self, settings: Any, given: Any):
        settings.FORCE_SCRIPT_NAME = given
        error = the_error(settings)
        assert error.id == "quotes.E016"
        assert error.msg == (
            f"Unexpected value {given!r} in FORCE_SCRIPT_NAME, must be a prefix such as /market, "
            "without a slash at its end"
        )


class TestTheApps:
    """Of a site, in INSTALLED_APPS."""

    def test_of_our_own_site_are_fine(self):
        assert check_apps() == []

    @pytest.mark.parametrize(
        ("first", "lacks"),
        [
            ("daphne", "does not limit the memory of a client that reads slowly"),
            ("daphne.apps.DaphneConfig", "does not limit the memory of a client"),
            ("django.contrib.staticfiles", "serves no sockets"),
        ],
    )
    def test_with_another_runserver_before_ours_are_a_warning(
        self, settings: Any, first: str, lacks: str, monkeypatch: pytest.MonkeyPatch
    ):
        # daphne adds checks of its own when it is loaded
        monkeypatch.setattr(registry, "registered_checks", registry.registered_checks.copy())
        others = [name for name in settings.INSTALLED_APPS if not first.startswith(name)]
        settings.INSTALLED_APPS = [first, *others]
        [error] = check_apps()
        name = first.removesuffix(".apps.DaphneConfig")
        assert error.id == "quotes.W015"
        assert error.msg.startswith(f"{name!r} stands before 'quotes' in INSTALLED_APPS, so its")
        assert lacks in error.msg


class TestTheStepsOfTheInstallation:
    """Of the app in a site."""

    def test_of_our_own_site_are_all_done(self):
        assert check_urls() == check_templates() == check_servers() == []

    def test_pages_that_are_not_included_are_a_warning(self, settings: Any):
        settings.ROOT_URLCONF = "django.contrib.auth.urls"
        [warning] = check_urls()
        assert warning.id == "quotes.W017"
        assert warning.msg.startswith("django.contrib.auth.urls does not include quotes.urls")
        assert warning.hint
        assert 'path("market/", include("quotes.urls"))' in warning.hint

    @pytest.mark.parametrize(
        "policy",
        [
            {"SECURE_CSP": {"script-src": ["'self'", "<CSP_NONCE_SENTINEL>"]}},
            {"SECURE_CSP_REPORT_ONLY": {"script-src": "<CSP_NONCE_SENTINEL>"}},
            {"CONTENT_SECURITY_POLICY": {"DIRECTIVES": {"script-src": [SELF, NONCE]}}},
        ],
    )
    def test_a_policy_with_nonces_needs_the_request_in_templates(
        self, settings: Any, policy: dict[str, Any]
    ):
        for name, value in policy.items():
            setattr(settings, name, value)
        assert check_templates() == []
        [engine] = settings.TEMPLATES
        settings.TEMPLATES = [engine | {"OPTIONS": {"context_processors": []}}]
        [warning] = check_templates()
        assert warning.id == "quotes.W020"
        assert warning.hint
        assert "django.template.context_processors.request" in warning.hint

    def test_what_only_production_needs_is_a_warning_at_deployment(self, settings: Any):
        del settings.ASGI_APPLICATION
        settings.CHANNEL_LAYERS = {}
        found = check_servers()
        assert [each.id for each in found] == ["quotes.W021", "quotes.W022"]
        # a site may be right without either
        assert all(f"{each.id}' to SILENCED_SYSTEM_CHECKS" in (each.hint or "") for each in found)

    @pytest.mark.django_db
    def test_symbols_that_are_missing_are_a_warning_until_there_is_one(self):
        [warning] = check_tables(databases=["default"])
        assert (warning.id, warning.hint) == ("quotes.W019", "Run  manage.py quotes_setup.")
        Symbol.objects.create(code="AAPL", name="Apple", kind="stock")
        assert check_tables(databases=["default"]) == []
        assert check_tables(databases=None) == []

    @pytest.mark.server
    def test_tables_that_are_missing_are_a_warning_of_all_but_migrate(self, tmp_path: Path):
        given = {"DATABASE_URL": f"sqlite:///{tmp_path / 'empty.sqlite3'}"}
        missing = "(quotes.W018) The tables of quotes are missing"
        assert missing in manage("check", "--database", "default", **given).stderr
        assert missing not in manage("migrate", **given).stderr
        assert "(quotes.W019)" in manage("check", "--database", "default", **given).stderr


class TestTheStartOfAServer:
    def test_refuses_invalid_settings_with_the_texts_of_all_errors(self, settings: Any):
        settings.QUOTES = {"PROVIDERS": ["coinbse"], "PACE": 0}
        with pytest.raises(ImproperlyConfigured) as refused:
            refuse_wrong_settings()
        unknown = f"Unknown provider 'coinbse', must be one of: {', '.join(REGISTRY)}"
        hint = (
            "Correct its name, or remove it from QUOTES['PROVIDERS'] (in this project, from "
            "QUOTES_PROVIDERS)."
        )
        assert str(refused.value).splitlines() == [
            f"{unknown} (quotes.E005) {hint}",
            "QUOTES['PACE'] is 0, must be a number above 0 (quotes.E006)",
        ]

    def test_accepts_valid_settings_and_silenced_errors(self, settings: Any):
        refuse_wrong_settings()
        settings.QUOTES, settings.SILENCED_SYSTEM_CHECKS = {"PACE": 0}, ["quotes.E006"]
        refuse_wrong_settings()


class TestTheQuery:
    """Of the provider `database`, which runs where its database is checked."""

    @pytest.fixture
    def table(self, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Table]:
        with django_db_blocker.unblock(), sqlite(tmp_path / "prices.sqlite3") as table:
            yield table

    def output(self, settings: Any, table: Table, query: str, *checked: str) -> list[str]:
        settings.QUOTES = {
            "PROVIDERS": ["simulated"],
            "PROVIDER_OPTIONS": {"database": {"alias": table.alias, "query": query}},
        }
        return [str(warning) for warning in check_queries(databases=checked)]

    def test_that_runs_is_fine(self, settings: Any, table: Table):
        assert self.output(settings, table, QUERY, table.alias) == []

    def test_that_fails_is_a_warning_with_the_error_of_the_database(
        self, settings: Any, table: Table
    ):
        [output] = self.output(settings, table, "SELECT nope FROM nowhere", "default", table.alias)
        assert output.startswith(
            "?: (quotes.W001) the query on 'sqlite_prices' failed: no such tab"
        )
        assert "HINT: Correct the query" in output

    def test_is_not_run_if_another_database_is_checked(self, settings: Any, table: Table):
        assert self.output(settings, table, "SELECT nope FROM nowhere", "default") == []
        assert self.output(settings, table, "SELECT nope FROM nowhere") == []

    def test_is_not_run_if_settings_are_invalid(self, settings: Any, table: Table):
        assert self.output(settings, table, "DELETE FROM prices", table.alias) == []
        settings.QUOTES = {"PACES": 1}
        assert check_queries(databases=["default"]) == []

    @pytest.mark.server
    def test_is_run_by_the_command_and_stops_no_migration(self, tmp_path: Path):
        given = {
            "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
            "DATABASE_QUERY": "SELECT code, last FROM nowhere",
        }
        words = "(quotes.W001) the query on 'default' failed: no such table: nowhere"
        assert words in manage("migrate", **given).stderr
        assert words in manage("check", "--database", "default", **given).stderr
        assert words not in manage("check", **given).stderr


WRONG = {
    "debug": ({"DJANGO_DEBUG": "perhaps"}, "Unexpected value DJANGO_DEBUG=perhaps, must be one of"),
    "https": ({"DJANGO_HTTPS": "2"}, "Unexpected value DJANGO_HTTPS=2, must be one of: true, on,"),
    "feed": (
        {"QUOTES_FEED": "sideways"},
        "Unexpected value QUOTES_FEED=sideways, must be one of: inline, external",
    ),
    "provider": (
        {"QUOTES_PROVIDERS": "coinbase,yaho"},
        f"Unknown provider 'yaho', must be one of: {', '.join(REGISTRY)}",
    ),
    "query": (
        {"DATABASE_QUERY": "DELETE FROM prices"},
        "Unexpected 'DELETE' at the start of the query of the database provider",
    ),
    "layer": (
        {"QUOTES_FEED": "external", "REDIS_URL": ""},
        "QUOTES['FEED'] is 'external', which needs a channel layer between processes",
    ),
    "Redis": (
        {"REDIS_URL": "redis.example:6379"},
        "Unexpected value of REDIS_URL, must be redis://host:6379/0",
    ),
    "origins": (
        {"QUOTES_ORIGINS": "https://a.example,b.example"},
        "Unexpected value 'b.example' in QUOTES['ORIGINS'], must be a list of origins",
    ),
    "an option": ({"SIMULATED_RATE": "0"}, "in this project, SIMULATED_RATE)"),
    "HSTS without HTTPS": (
        {"DJANGO_HSTS_SECONDS": "x", "DJANGO_HTTPS": "False"},
        "Unexpected value DJANGO_HSTS_SECONDS=x, must be a whole number, 0 or larger",
    ),
    "a host with a scheme": (
        {"DJANGO_ALLOWED_HOSTS": "localhost,https://quotes.example"},
        "Unexpected value 'https://quotes.example' in DJANGO_ALLOWED_HOSTS, must be a list of host",
    ),
    "an origin without a scheme": (
        {"DJANGO_CSRF_TRUSTED_ORIGINS": "quotes.example"},
        "Unexpected value 'quotes.example' in DJANGO_CSRF_TRUSTED_ORIGINS, must be a list of orig",
    ),
    "a mistyped name": (
        {"QUOTES_PROVIDRS": "coinbase"},
        "Unknown variable QUOTES_PROVIDRS, did you mean QUOTES_PROVIDERS?",
    ),
    "an unknown name": (
        {"QUOTES_PACE": "1"},
        "Unknown variable QUOTES_PACE, must be one of: QUOTES_DEPLOYMENT, QUOTES_EMBED_ORIGINS, ",
    ),
    "a mistyped name of Django": (
        {"DJANGO_ALLOWED_HOST": "quotes.example"},
        "Unknown variable DJANGO_ALLOWED_HOST, did you mean DJANGO_ALLOWED_HOSTS?",
    ),
    "secret": (
        {"DJANGO_DEBUG": "False", "DJANGO_SECRET_KEY": ""},
        "DJANGO_SECRET_KEY is empty: load the file that has it, set it to a long random text",
    ),
}


@pytest.mark.server
@pytest.mark.parametrize(("environment", "words"), WRONG.values(), ids=WRONG)
def test_a_site_with_an_invalid_environment_does_not_start_and_shows_why(
    environment: dict[str, str], words: str
):
    output = manage("check", check=False, **environment)
    assert output.returncode == 1
    assert words in output.stderr
    assert "Traceback" not in output.stderr


def refusal_of(
    name: str, value: str, read: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> str:
    """Return the words with which the site refuses the value of a variable."""
    monkeypatch.setitem(site.env.ENVIRON, name, value)
    with pytest.raises(ImproperlyConfigured) as refused:
        read()
    return str(refused.value)


class TestAVariable:
    """Of the environment, as the site's settings read it."""

    @pytest.fixture
    def given(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
        def give(value: str) -> str:
            monkeypatch.setitem(site.env.ENVIRON, "THE_NAME", value)
            return "THE_NAME"

        return give

    @pytest.mark.parametrize("value", ["True", "true", "1", "yes", "ON", "y", " ok "])
    def test_is_true_as_in_django_environ(self, given: Callable[[str], str], value: str):
        assert site.flag(given(value), False) is True
        assert site.env.bool("THE_NAME") is True

    @pytest.mark.parametrize("value", ["False", "false", "0", "no", "OFF", "n"])
    def test_is_false_as_in_django_environ(self, given: Callable[[str], str], value: str):
        assert site.flag(given(value), True) is False
        assert site.env.bool("THE_NAME") is False

    @pytest.mark.parametrize("default", [True, False])
    def test_that_is_empty_has_its_default(self, given: Callable[[str], str], default: bool):
        assert site.flag(given(""), default) is default

    @pytest.mark.parametrize("value", ["perhaps", "2", "-1", "tru", "nope"])
    def test_that_is_neither_is_refused_with_what_is_allowed(
        self, given: Callable[[str], str], value: str
    ):
        with pytest.raises(ImproperlyConfigured) as refused:
            site.flag(given(value), False)
        allowed = "true, on, ok, y, yes, 1, false, off, n, no, 0"
        assert str(refused.value) == f"Unexpected value THE_NAME={value}, must be one of: {allowed}"

    @pytest.mark.parametrize("value", [" 5 ", "5", "05"])
    def test_is_a_whole_number(self, given: Callable[[str], str], value: str):
        assert site.number(given(value), 1) == 5

    @pytest.mark.parametrize(
        ("value", "least"),
        [
            ("0", 1),
            ("-1", 0),
            ("ten", 0),
            ("1.5", 1),
            ("1e6", 1),
            ("1_000", 1),
            ("\u0663", 1),
            ("9" * 5000, 1),
        ],
    )
    def test_that_is_not_a_whole_number_is_refused(
        self, given: Callable[[str], str], value: str, least: int
    ):
        words = f"THE_NAME={one_line(value)}, must be a whole number, {least} or larger"
        with pytest.raises(ImproperlyConfigured, match=words):
            site.number(given(value), least)

    @pytest.mark.parametrize(
        ("value", "prefix"),
        [("", ""), ("/", ""), ("/market", "/market"), (" /market/ ", "/market"), ("/a/b", "/a/b")],
    )
    def test_of_a_prefix_is_read_without_its_last_slash(
        self, monkeypatch: pytest.MonkeyPatch, value: str, prefix: str
    ):
        monkeypatch.setitem(site.env.ENVIRON, "DJANGO_SCRIPT_NAME", value)
        assert site.prefix() == prefix

    @pytest.mark.parametrize(
        "value", ["market", "//evil", "/a//", "https://a.example/market", "/ä"]
    )
    def test_of_an_invalid_prefix_is_refused(self, monkeypatch: pytest.MonkeyPatch, value: str):
        monkeypatch.setitem(site.env.ENVIRON, "DJANGO_SCRIPT_NAME", value)
        words = f"DJANGO_SCRIPT_NAME={value}, must be a prefix such as /market"
        with pytest.raises(ImproperlyConfigured, match=words):
            site.prefix()

    @pytest.mark.parametrize("value", ["Mars", "Europe", "../UTC", "x" * 5000])
    def test_of_an_unknown_time_zone_is_refused(self, monkeypatch: pytest.MonkeyPatch, value: str):
        monkeypatch.setitem(site.env.ENVIRON, "DJANGO_TIME_ZONE", value)
        with pytest.raises(ImproperlyConfigured, match=f"E={one_line(value)}, must be a name"):
            site.time_zone()

    @pytest.mark.parametrize(
        "value",
        [
            "nothing",
            "mysql://a:secret@b/c",
            "postgres://a:secret@b:x/c",
            "postgres://a:1/secret@b/c",
            "postgres://a:1#secret@b/c",
            "postgres://a:1@2/secret@b/c",
        ],
    )
    def test_of_an_unknown_database_is_refused_without_its_password(
        self, monkeypatch: pytest.MonkeyPatch, value: str
    ):
        monkeypatch.setitem(site.env.ENVIRON, "DATABASE_URL", value)
        with pytest.raises(
            ImproperlyConfigured, match="of DATABASE_URL, must be sqlite"
        ) as refused:
            site.database()
        assert "secret" not in str(refused.value)

    def test_of_a_database_may_have_a_password(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(site.env.ENVIRON, "DATABASE_URL", "postgres://a:1%2Fb@c:5433/d")
        assert site.database()["PASSWORD"] == "1/b"
        monkeypatch.setitem(site.env.ENVIRON, "DATABASE_URL", "sqlite:////srv/a@b.sqlite3")
        assert site.database()["NAME"] == "/srv/a@b.sqlite3"

    @pytest.mark.parametrize("form", ["postgres://u@{}:5433/d", "postgres://u@:5433/d?host={}"])
    def test_of_a_database_may_have_the_folder_of_a_unix_socket(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str
    ):
        folder = tmp_path / "Sockets"
        folder.mkdir()
        given = form.format(quote(str(folder), safe=""))
        monkeypatch.setitem(site.env.ENVIRON, "DATABASE_URL", given)
        found = site.database()
        assert (found["HOST"], found["PORT"], found["USER"]) == (str(folder), 5433, "u")
        assert "host" not in found.get("OPTIONS", {})

    @pytest.mark.parametrize(
        "option",
        [
            "sslrootcert=system",
            "connect_timeout=5",
            "keepalives=1",
            "keepalives_idle=30",
            "keepalives_interval=5",
            "keepalives_count=3",
            "gssencmode=disable",
            f"passfile={__file__}",
        ],
    )
    def test_of_a_database_may_have_the_options_of_libpq(
        self, monkeypatch: pytest.MonkeyPatch, option: str
    ):
        monkeypatch.setitem(site.env.ENVIRON, "DATABASE_URL", f"postgres://u:p@h/d?{option}")
        name, _, value = option.partition("=")
        assert str(site.database()["OPTIONS"][name]) == value

    def test_of_a_database_may_begin_with_capital_letters(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ):
        monkeypatch.setitem(site.env.ENVIRON, "DATABASE_URL", f"SQLITE:///{tmp_path}/Q.sqlite3")
        assert site.database()["NAME"] == f"{tmp_path}/Q.sqlite3"

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("postgres://u:p@h/d?host=secret", ": invalid value of the option host, must be the"),
            ("postgres://u:secret@h", ": the name of the database is missing, must be sqlite"),
            ("postgres://u:secret@h/", ": the name of the database is missing, must be sqlite"),
            ("postgres:///", ": the name of the database is missing, must be sqlite"),
            ("postgres://u:secret@h:0/d", ", must be sqlite"),
            ("postgres://u:p@h/d#secret", ", must be sqlite"),
            ("postgres://u:p@h/d?pass@word=secret", ", must be sqlite"),
            ("postgres://u:p@h/d?foo=secret", ": unknown option 'foo', must be one of: app"),
            ("postgres://u:p@h/d?\x1b[31m=1", r": unknown option '\x1b[31m', must be one of: app"),
            ("postgres://u:p@h/d?conn_max_age=5", ": unknown option 'conn_max_age', must be"),
            ("postgres://u:p@h/d?sslmode=secret", ": invalid value of the option sslmode, must be"),
            ("postgres://u:p@h/d?sslmode=", ": invalid value of the option sslmode, must be one"),
            ("postgres://u:p@h/d?sslrootcert=/secret", ": invalid value of the option sslrootcert"),
            ("sqlite://", ", must be sqlite"),
            ("sqlite:///", ": the name of the database is missing"),
            ("sqlite:///:memory:", ": the name of the database is missing"),
            ("sqlite://:memory:", ", must be sqlite"),
            ("sqlite://host/secret", ", must be sqlite"),
            ("sqlite:////tmp/a#b", ", must be sqlite"),
            ("sqlite:////tmp/a?timeout=1", ": unknown option 'timeout', must be without options"),
            ("sqlite:////no/where/a", ": the folder /no/where does not exist: create it, or"),
            ("sqlite:////no\x1b[31m/a", r": the folder /no\x1b[31m does not exist: create"),
            ("sqlite:////", ": / is a folder, must be the path of a file"),
            (f"sqlite:////{'a' * 300}", f": /{'a' * 300} can't be read: File name too long"),
            (f"sqlite:////{'a' * 300}/b", f": /{'a' * 300}/b can't be read: File name too long"),
            (
                f"postgres://u:p@h/d?sslkey=/secret{'a' * 300}",
                ": the file of the option sslkey can't be read: File name too long",
            ),
            ("postgres://u:p@h/d?sslkey=/secret%00", ": invalid value of the option sslkey, must"),
        ],
    )
    def test_of_a_database_that_can_not_work_is_refused_with_what_is_allowed(
        self, monkeypatch: pytest.MonkeyPatch, value: str, words: str
    ):
        refusal = refusal_of("DATABASE_URL", value, site.database, monkeypatch)
        assert refusal.startswith(f"Unexpected value of DATABASE_URL{words}")
        assert "secret" not in refusal

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("redis://h?foo=secret", ": unknown option 'foo', must be one of: db"),
            ("redis://h?socket_timeout=abc", ": unknown option 'socket_timeout', must be"),
            ("redis://h?decode_responses=1", ": unknown option 'decode_responses', must be"),
            ("redis://h?ssl_cert_reqs=none", ": unknown option 'ssl_cert_reqs', must be"),
            ("redis://h?\x1b[31m=1", r": unknown option '\x1b[31m', must be one of: db"),
            ("redis://h?db=secret", ": invalid value of the option db, must be a whole number"),
            ("rediss://h?ssl_cert_reqs=secret", ": invalid value of the option ssl_cert_reqs,"),
            ("rediss://h?ssl_ca_certs=/secret", ": invalid value of the option ssl_ca_certs, must"),
            (
                f"rediss://h?ssl_keyfile=/secret{'a' * 300}",
                ": the file of the option ssl_keyfile can't be read: File name too long",
            ),
            ("unix:///s?foo=1", ": unknown option 'foo', must be one of: db"),
            ("redis://h/9999999999", ", must be redis"),
            ("redis://h#secret", ", must be redis"),
        ],
    )
    def test_of_a_redis_that_can_not_work_is_refused_with_what_is_allowed(
        self, monkeypatch: pytest.MonkeyPatch, value: str, words: str
    ):
        refusal = refusal_of("REDIS_URL", value, site.redis, monkeypatch)
        assert refusal.startswith(f"Unexpected value of REDIS_URL{words}")
        assert "secret" not in refusal

    def test_of_a_database_and_of_a_redis_may_have_options(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ):
        authorities = tmp_path / "ca.pem"
        authorities.touch()
        given = f"postgres://u:p@h/d?sslmode=verify-full&sslrootcert={authorities}"
        monkeypatch.setitem(site.env.ENVIRON, "DATABASE_URL", given)
        options = {"sslmode": "verify-full", "sslrootcert": str(authorities)}
        assert site.database()["OPTIONS"] == options
        for given in (f"rediss://h?db=1&ssl_ca_certs={authorities}", "unix:///s?db=1"):
            monkeypatch.setitem(site.env.ENVIRON, "REDIS_URL", given)
            assert site.redis() == given

    @pytest.mark.parametrize("value", ["unix:///run/a@b.sock", "rediss://a:b%2F@c:6379/0", ""])
    def test_of_a_redis_may_have_a_password(self, monkeypatch: pytest.MonkeyPatch, value: str):
        monkeypatch.setitem(site.env.ENVIRON, "REDIS_URL", value)
        assert site.redis() == value

    @pytest.mark.parametrize(
        "value",
        [
            "nothing",
            "http://a:secret@b",
            "redis://a:secret@b:x/0",
            "a:secret@b:6379",
            "redis://",
            "redis:///0",
            "redis://:secret@/0",
            "redis://b:6379/secret",
            "redis://a:secret@b c",
            "redis://*:6379",
            "unix://",
            "unix://b/secret",
            "redis://:1/secret@b/0",
            "redis://a:se@cr/secret@b/0",
        ],
    )
    def test_of_an_unknown_redis_is_refused_without_its_password(
        self, monkeypatch: pytest.MonkeyPatch, value: str
    ):
        monkeypatch.setitem(site.env.ENVIRON, "REDIS_URL", value)
        with pytest.raises(ImproperlyConfigured, match="of REDIS_URL, must be redis") as refused:
            site.redis()
        assert "secret" not in str(refused.value)

    @pytest.mark.parametrize(
        "value",
        [
            "quotes.example:443",
            "quotes.example/",
            "quotes.example.",
            "quotes..example",
            "quotes_board.example",
            "::1",
            "[0:0:0:0:0:0:0:1]",
            "[::zz]",
            "*.example",
            "two words",
            "ä.de",
        ],
    )
    def test_of_hosts_that_django_would_never_match_is_refused(
        self, given: Callable[[str], str], value: str
    ):
        with pytest.raises(ImproperlyConfigured, match=r"in THE_NAME, must be a list of host name"):
            site.hosts(given(f"localhost,{value}"), "localhost")

    def test_of_hosts_may_be_names_addresses_and_subdomains(self, given: Callable[[str], str]):
        hosts = ["Quotes.example", ".example", "192.0.2.7", "[::1]", "*"]
        assert site.hosts(given(", ".join(hosts)), "localhost") == hosts
        assert site.hosts(given(""), "localhost,[::1]") == ["localhost", "[::1]"]

    @pytest.mark.parametrize(
        "value",
        [
            "quotes.example",
            "https://quotes.example/",
            "https://Quotes.example",
            "https://quotes.example:99999",
            "https://quotes..example",
            "https://[:::]",
            "https://*",
            "ftp://a.example",
            "https://",
            "null",
        ],
    )
    def test_of_origins_that_django_would_never_match_is_refused(
        self, given: Callable[[str], str], value: str
    ):
        with pytest.raises(ImproperlyConfigured, match=r"in THE_NAME, must be a list of origins"):
            site.origins(given(value))

    def test_of_origins_may_have_a_port_or_every_subdomain(self, given: Callable[[str], str]):
        origins = [
            "https://a.example",
            "http://127.0.0.1:8000",
            "https://*.a.example",
            "http://[::1]",
        ]
        assert site.origins(given(",".join(origins))) == origins

    def test_of_origins_is_written_as_browsers_send_it(self, given: Callable[[str], str]):
        origins = "https://a.example:443, http://b.example:80,https://c.example.,https://[0:0::1]"
        assert site.origins(given(origins)) == [
            "https://a.example",
            "http://b.example",
            "https://c.example",
            "https://[::1]",
        ]

    @pytest.mark.parametrize("value", ["\x1b[31mred", "a\u202eb", "a\nb", "x" * 10_000])
    def test_that_is_refused_is_shown_on_one_line_that_a_terminal_can_print(
        self, given: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, value: str
    ):
        readers: list[Callable[[], object]] = [
            lambda: site.flag(given(value), False),
            lambda: site.choice(given(value), ("inline", "external"), "inline"),
            lambda: site.number(given(value), 0),
            lambda: site.hosts(given(f"{value} /"), "localhost"),
            lambda: site.origins(given(value)),
            site.prefix,
            site.time_zone,
            site.refuse_unknown_variables,
        ]
        for name in ("DJANGO_SCRIPT_NAME", "DJANGO_TIME_ZONE", f"QUOTES_{value}"):
            monkeypatch.setitem(site.env.ENVIRON, name, value)
        for read in readers:
            with pytest.raises(ImproperlyConfigured, match=r"^Un\w+ v") as refused:
                read()
            assert str(refused.value).isprintable()
            assert len(str(refused.value)) < 1000

    def test_that_is_not_in_utf_8_is_refused_without_the_value(self, given: Callable[[str], str]):
        with pytest.raises(ImproperlyConfigured) as refused:
            site.text(given(os.fsdecode(b"hush\xff")))
        assert str(refused.value) == "Unexpected value of THE_NAME, must be in UTF-8"

    @pytest.mark.parametrize("value", ["Europe/Berlin", " Europe/Berlin "])
    def test_may_have_spaces_around_it(self, monkeypatch: pytest.MonkeyPatch, value: str):
        monkeypatch.setitem(site.env.ENVIRON, "DJANGO_TIME_ZONE", value)
        assert site.time_zone() == "Europe/Berlin"

    @pytest.mark.parametrize("name", ["DJANGO_SUPERUSER_PASSWORD", "DJANGO_COLORS", "HOME"])
    def test_of_another_program_is_not_refused(self, monkeypatch: pytest.MonkeyPatch, name: str):
        monkeypatch.setitem(site.env.ENVIRON, name, "anything")
        site.refuse_unknown_variables()

    @pytest.mark.parametrize("value", ["", "redis://h:6379/0", "rediss://a:b@h/1", "unix:///s"])
    def test_of_redis_may_be_any_of_its_addresses(
        self, monkeypatch: pytest.MonkeyPatch, value: str
    ):
        for given in (value, f" {value} ", value.replace("redis", "Redis")):
            monkeypatch.setitem(site.env.ENVIRON, "REDIS_URL", given)
            assert site.redis() == value


@pytest.mark.server
def test_a_database_gets_the_options_of_its_address():
    code = "from django.conf import settings; print(settings.DATABASES['default']['OPTIONS'])"
    ran = python("-c", code, DATABASE_URL="postgres://u:p@h/d?sslmode=require")
    assert "'sslmode': 'require'" in ran.stdout
    assert "'connect_timeout': 5" in ran.stdout


LAYER = """
import asyncio
from channels.layers import get_channel_layer

async def send():
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("a", channel)
    await layer.group_send("a", {"type": "hello"})
    print(await asyncio.wait_for(layer.receive(channel), 60))
    await layer.flush()

asyncio.run(send())
"""


@pytest.mark.server
def test_a_redis_is_reached_through_a_socket_of_the_file_system(tmp_path: Path):
    program = shutil.which("redis-server")
    if program is None:
        lacking("Redis", "redis-server")
    assert program is not None
    path = tmp_path / "redis.sock"
    server = Redis(program)
    server.command += ["--unixsocket", str(path)]
    server.start()
    try:
        ran = python(
            "-c", f"import django; django.setup()\n{LAYER}", REDIS_URL=f"unix://{path}?db=1"
        )
        assert ran.stdout.strip() == "{'type': 'hello'}", ran.stderr
    finally:
        server.stop()


@pytest.mark.server
def test_a_site_with_a_valid_environment_starts():
    assert manage("check", check=False, QUOTES_PROVIDERS="simulated").returncode == 0


def test_the_documents_name_every_provider_that_is_allowed():
    document = (ROOT / "docs" / "configuration.md").read_text()
    [row] = re.findall(r"^\| `QUOTES_PROVIDERS` \|[^|]*\|(.*)\|$", document, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(REGISTRY)
