"""`make hosts`: the wheel in sites of other people, in Chromium.

Each site is opened without quotes and with them. Prices must move, and nothing of the site may
change: the computed styles of its elements, its requests, its sockets, its console. The pictures
are in `var/hosts/`.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, sync_playwright

from tests.hosts.newcomer import FLAGS, MOVED, SOME, pairs
from tests.hosts.newcomer import edits as edits_of_readme
from tests.hosts.projects import Project, build_wheel, new_environment
from tests.hosts.sites import HOSTS, PLACE, TAGS, Host
from tests.servers import PATIENCE, ROOT, find_chromium

PLACE_OF_ALL = ROOT / "var" / "hosts"
SCHEMES = ("light", "dark")
OURS = ("/market/", "/static/quotes/", "/static/django_htmx/", "/ws/quotes/")
OWN = r"""() => {
    const names = [...getComputedStyle(document.body)]
        .filter((name) => !name.startsWith("--quotes-")).sort();
    const found = [];
    for (const element of document.querySelectorAll("html, body, body *")) {
        if (element.parentElement?.closest("#place")) continue;
        if (element.closest("#quotes-end")) continue;  // ours, at the end of the page
        if (element.getAnimations().length) {
            found.push(`${element.tagName} ${element.className} is animated`);
            continue;
        }
        for (const part of ["", "::before", "::after", "::marker", "::placeholder"]) {
            const style = getComputedStyle(element, part || null);
            if (/before|after/.test(part) && style.content === "none") continue;
            found.push(`${element.tagName} ${element.className} ${part}\n` + names.map(
                (name) => `${name}: ${style.getPropertyValue(name)}`).join("\n"));
        }
    }
    return found;
}"""

STILL = "!document.getAnimations().some((each) => each instanceof CSSTransition)"


@dataclass
class Seen:
    """What a page did and how its own elements look."""

    looks: list[str] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    sockets: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def of_the_site(self) -> tuple[Counter[str], list[str], list[str]]:
        """Return its requests, sockets and complaints without what belongs to quotes."""
        requests = Counter({k: v for k, v in self.requests.items() if not k.startswith(OURS)})
        sockets = [each for each in self.sockets if not each.startswith(OURS)]
        return requests, sockets, self.complaints


def look_at(browser: Browser, host: Host, project: Project, scheme: str, *, quotes: bool) -> Seen:
    """Open the page of a site, wait for a moving price if it has quotes, and take a picture."""
    seen = Seen()
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1000, "height": 900})
    page = context.new_page()
    page.on("request", lambda each: seen.requests.update([urlsplit(each.url).path]))
    page.on("websocket", lambda each: seen.sockets.append(urlsplit(each.url).path))
    page.on("console", lambda each: seen.complaints.append(f"{each.type}: {each.text}"))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.goto(project.url + host.page, wait_until="load")
    if scheme == "dark" and host.dark:
        name, _, value = host.dark.partition("=")
        root = "([name, value]) => document.documentElement.setAttribute(name, value)"
        page.evaluate(root, [name, value.strip('"')])
    if host.sockets:
        page.get_by_text("HELLO").wait_for(timeout=1000 * PATIENCE)
    if quotes:
        before = page.locator(SOME).first.get_attribute("value")
        page.wait_for_function(MOVED, arg=before, timeout=1000 * PATIENCE)
    page.mouse.move(0, 0)
    page.wait_for_function(STILL)
    seen.looks = page.evaluate(OWN)
    name = host.name.lower().replace(", ", "-")
    page.screenshot(
        path=PLACE_OF_ALL / f"{name}-{scheme}{'' if quotes else '-before'}.png", full_page=True
    )
    context.close()
    return seen


def add_quotes(host: Host, project: Project) -> None:
    """Make the edits of the README in a site, and run its two commands."""
    (_, apps, ours), (urls, patterns, included), _ = edits_of_readme()
    project.change(host.settings, apps, ours)
    project.change(urls, patterns, included)
    project.change(host.template, PLACE.format(""), PLACE.format(TAGS))
    if host.asgi:
        project.write("mysite/asgi.py", host.asgi)
    project.manage("migrate", "--verbosity", "0")
    project.manage("quotes_setup")


def changes(host: Host, before: Seen, after: Seen) -> list[str]:
    """Return everything of a site that is no longer as it was."""
    found = []
    if len(before.looks) != len(after.looks):
        found.append(f"{len(before.looks)} elements, then {len(after.looks)}")
    for old, new in zip(before.looks, after.looks, strict=False):
        if old != new:
            name = new.partition("\n")[0]
            found.append(f"{name}: {sorted(set(new.splitlines()) - set(old.splitlines()))}")
    for old, new in zip(before.of_the_site(), after.of_the_site(), strict=True):
        if old != new:
            found.append(f"{old}, then {new}")
    if len(after.sockets) != host.sockets + 1:
        found.append(f"sockets: {after.sockets}")
    return found


def row(*cells: object) -> None:
    """Print a row of the table."""
    print("{:18} {:7} {:>8} {:>8} {:>13} {:>8}  {}".format(*map(str, cells)), flush=True)


def main() -> int:
    """Try the hosts that are named, or all; return 1 if one of them is changed."""
    chromium = find_chromium()
    assert chromium, "Chromium is missing: run .ci/packages"
    wanted = sys.argv[1:] or [each.name for each in HOSTS]
    shutil.rmtree(PLACE_OF_ALL, ignore_errors=True)
    PLACE_OF_ALL.mkdir(parents=True)
    wheel = build_wheel(PLACE_OF_ALL)
    _, django, python = pairs()[-1]
    status = 0
    row("Host", "Django", "elements", "requests", "of quotes too", "sockets", "changed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for host in HOSTS:
            if host.name in wanted:
                status |= bool(try_host(browser, host, (django, python), wheel))
        browser.close()
    return status


def try_host(browser: Browser, host: Host, pair: tuple[str, str], wheel: Path) -> list[str]:
    """Try one host, print its row, and return what changed."""
    django, python = pair
    folder = PLACE_OF_ALL / host.name.replace(", ", "-")
    packages = (wheel, f"django=={django}.*", "uvicorn", *host.packages)
    project = Project(folder / "project", new_environment(folder / "venv", python, *packages))
    host.make(project)
    with project.served(*host.before, ready=host.page):
        before = [look_at(browser, host, project, each, quotes=False) for each in SCHEMES]
    add_quotes(host, project)
    with project.served(*host.after, ready=host.page):
        after = [look_at(browser, host, project, each, quotes=True) for each in SCHEMES]
    found = [each for pair in zip(before, after, strict=True) for each in changes(host, *pair)]
    requests = (sum(each[0].requests.values()) for each in (before, after))
    version = project.run("-m", "django", "--version").stdout.strip()
    looks, sockets = len(after[0].looks), f"{len(before[0].sockets)}+1"
    row(host.name, version, looks, *requests, sockets, "; ".join(found) or "nothing")
    return found


if __name__ == "__main__":
    sys.exit(main())
