"""A page of a site that is not ours and does not know us, in three styles.

Two of the styles have the rules of Bootstrap 5 and of Tailwind's reset for all elements; the third
is bare. On top, the site has rules of its own, for names that a site may well have.
"""

from __future__ import annotations

from csp.decorators import csp_exempt
from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, Template

BOOTSTRAP = """
*, *::before, *::after { box-sizing: border-box; }
:root { --host-link: 13, 110, 253; scroll-behavior: smooth; }
[data-bs-theme=dark] { color-scheme: dark; --host-link: 110, 168, 254; }
body { margin: 0; font-family: Georgia, serif; font-size: 1rem; font-weight: 400;
  line-height: 1.5; color: #212529; background-color: #fff; -webkit-text-size-adjust: 100%; }
[data-bs-theme=dark] body { color: #dee2e6; background-color: #212529; }
h1, h2 { margin-top: 0; margin-bottom: .5rem; font-weight: 500; line-height: 1.2; }
p { margin-top: 0; margin-bottom: 1rem; }
ul, dl { margin-top: 0; margin-bottom: 1rem; padding-left: 2rem; }
dd { margin-bottom: .5rem; margin-left: 0; }
blockquote { margin: 0 0 1rem; }
small { font-size: .875em; }
sub { position: relative; bottom: -.25em; font-size: .75em; line-height: 0;
  vertical-align: baseline; }
a { color: rgba(var(--host-link), 1); text-decoration: underline; }
a:hover { --host-link: 10, 88, 202; }
svg { vertical-align: middle; }
table { caption-side: bottom; border-collapse: collapse; }
caption { padding-top: .5rem; padding-bottom: .5rem; color: #6c757d; text-align: left; }
th { text-align: inherit; text-align: -webkit-match-parent; }
thead, tbody, tr, td, th { border-color: inherit; border-style: solid; border-width: 0; }
label { display: inline-block; }
input, button { margin: 0; font-family: inherit; font-size: inherit; line-height: inherit; }
.table > :not(caption) > * > * { padding: .5rem .5rem; border-bottom-width: 1px; }
.table > tbody { vertical-align: inherit; }
"""

TAILWIND = """
*, ::after, ::before { box-sizing: border-box; margin: 0; padding: 0; border: 0 solid #e5e7eb; }
html { line-height: 1.5; tab-size: 4; font-family: ui-sans-serif, system-ui, sans-serif; }
body { line-height: inherit; }
.dark body { color: #eee; background: #111; }
h1, h2 { font-size: inherit; font-weight: inherit; }
a { color: inherit; text-decoration: inherit; }
small { font-size: 80%; }
sub { position: relative; bottom: -.25em; font-size: 75%; line-height: 0;
  vertical-align: baseline; }
table { text-indent: 0; border-color: inherit; border-collapse: collapse; }
input, button { font: inherit; letter-spacing: inherit; color: inherit; border-radius: 0;
  background-color: transparent; opacity: 1; }
ul { list-style: none; }
svg { display: block; vertical-align: middle; }
[hidden]:where(:not([hidden="until-found"])) { display: none !important; }
"""

BARE = ".dark body { color: #eee; background: #111; }"

SITE = """
body { letter-spacing: .01em; word-spacing: .02em; text-indent: .1em; hyphens: auto; }
.article { text-align: center; font-style: italic; }
.article a { border-bottom: 2px solid; font-weight: 700; }
.article p { margin: 2rem; color: #a52a2a; }
.article small, .article span { letter-spacing: .1em; }
.article td, .article th { padding: 1rem; border: 2px dashed #f0f; text-transform: uppercase;
  text-align: left; vertical-align: top; background: #ff0; font-family: monospace; }
.article table { display: block; margin: 2rem 1rem; box-shadow: 0 0 4px; }
tr:nth-child(odd) { background: #eef; transition: all .3s; }
.article svg { float: right; max-width: 1rem; height: auto; margin: 1rem; fill: #f0f; stroke: #0ff;
  opacity: .5; border: 1px solid; }
path { fill: #f00; stroke: #00f; stroke-width: 9; stroke-dasharray: 4; }
.quote { display: block; margin: 1rem; padding: 1rem; border-left: 4px solid; }
.quote::before { content: "“"; font-size: 3rem; }
.name, .arrow, .currency, .called, .since, .move, .simulated, .tiny { text-transform: uppercase;
  border: 1px solid; }
.whole { display: grid; } .board, .listing { display: flex; } .head { display: grid; }
.notes, .pulse, .sources, .note { display: block; padding: 3rem; animation: turn 1s infinite; }
.top { float: right; } .search { color: #008; } .empty { visibility: hidden; }
.place { position: absolute; inset: 0 0 auto; height: 30rem; overflow: hidden; }
.article p.line { position: absolute; inset: 31rem 0 auto; height: 4rem; margin: 0;
  overflow: hidden; color: inherit; }
.own { padding-top: 36rem; }
@keyframes turn { from { opacity: 1; } to { opacity: 1; } }
"""

STYLES = {"bare": BARE, "bootstrap": BOOTSTRAP, "tailwind": TAILWIND}
DARK = {"bare": 'class="dark"', "bootstrap": 'data-bs-theme="dark"', "tailwind": 'class="dark"'}

# Everything outside of the two places is the site's own; the places have a size of their own.
PAGE = """{% load quotes %}<!doctype html>
<html lang="en" {{ dark|safe }}><head><meta charset="utf-8"><title>A strange site</title>
<link rel="icon" href="/static/quotes/icon.svg">
{% if quotes == "head" %}{% quotes_head %}{% endif %}
<style>{{ style|safe }}</style></head><body>
<article class="article"><div class="place">{% if quotes %}
{% if quotes != "line" %}{% live_quotes "BTC-USD" "SHIB-USD" "ADA-USD" "NOPE" %}{% endif %}
{% endif %}</div>
<p class="line">Text {% if quotes %}{% live_quote "BTC-USD" %}{% endif %}</p></article>
<div class="own">
<a class="skip" href="#main">Skip</a>
<header class="top"><a class="brand" href="/">Brand</a> <nav class="kinds"><a href="/a">A</a></nav>
<span class="notes"><span class="note note-outage">Note</span></span>
<span class="pulse pulse-live"><span class="pulse-well">Up</span></span></header>
<main id="main"><div class="head"><h1 class="whole">Main</h1>
<form class="search" role="search"><label for="q">Search</label> <input id="q" placeholder="Word">
<button>Go</button></form></div>
<table class="board table"><caption class="whole">Board</caption>
<colgroup><col class="c-symbol"><col class="c-last"></colgroup>
<thead><tr><th class="c-symbol" aria-sort="ascending"><a href="/s">Name</a></th><th>Last</th></tr>
</thead><tbody><tr class="empty"><td class="c-last">1 <sub>2</sub></td><td>2</td></tr>
<tr><td class="c-state">Open <small>late</small></td><td data-field="change">3</td></tr></tbody>
</table>
<table class="listing"><tr><td class="c-percent">1</td><td class="c-unknown">2</td></tr></table>
<blockquote class="quote"><p class="name">Name</p><span class="arrow">Up</span>
<span class="currency">EUR</span> <span class="move">Move</span> <data value="1">1</data>
<small class="since">2000</small></blockquote>
<section class="symbol"><h2 class="code">Symbol</h2><p class="facts">Facts</p><dl class="range">
<dt>High</dt><dd><meter min="0" max="2" value="1"></meter></dd></dl></section>
<div class="fronts"><section class="front"><h2><a href="/f">Front</a></h2><p class="more">
<a href="/m">More</a></p></section><p class="nothing">Nothing</p></div>
<div class="foot"><p class="count">3</p><nav class="pages"><a href="/p">2</a></nav></div>
<p class="panel-last"><span class="tiny">0</span></p><p class="panel-state sources">Sources</p>
<div class="quotes"><p>Said</p><p class="quote">Words <a href="/w">more</a> <input></p></div>
<ul class="embed"><li class="live-quotes-foot">One</li><li class="dash">Two</li></ul></main>
<footer><p class="noscript">Footer <a href="/i">Imprint</a></p></footer></div>
</body></html>"""


@csp_exempt()
def strange(request: HttpRequest, style: str) -> HttpResponse:
    """Show the page, in the site's dark theme with `?dark`.

    With `?quotes=body` it has quotes in its body, with `head` their stylesheets before its own, and
    with `line` a price in a line and no table.
    """
    context = {
        "style": STYLES[style] + SITE,
        "dark": DARK[style] if "dark" in request.GET else "",
        "quotes": request.GET.get("quotes"),
    }
    return HttpResponse(Template(PAGE).render(RequestContext(request, context)))
