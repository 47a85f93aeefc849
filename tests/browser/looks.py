"""What a strict reader sees in a page: text that is too small, cut, covered or too faint."""

from __future__ import annotations

from playwright.sync_api import Page

MOST_PLACES = 500  # in a page that take the focus

# Texts are compared only with texts in the same layer. A layer is what lies above the page on
# purpose: a fixed bar, or an open panel.
FAULTS = r"""(() => {
const found = [], style = new Map();
const look = (place) => style.get(place) ?? style.set(place, getComputedStyle(place)).get(place);
const near = (place, is) => {
  while (place && !is(place)) place = place.parentElement;
  return place;
};
const positioned = (place) => look(place).position;
const above = (place) => positioned(place) === "fixed"
  || positioned(place) === "absolute" && look(place).zIndex !== "auto";
const unseen = (place) => look(place).clipPath !== "none";  // for screen readers alone
const clips = (place, axis) =>
  !["visible", "scroll", "auto"].includes(look(place)[`overflow${axis}`]);
const NUMBER = /^[+−]?\d[\d.,]*([\s\u00a0]?(%|[A-Za-z.]{1,5}))?$/;
const FIELDS = "[data-field], .quotes-currency, .quotes-code, .quotes-title ~ .quotes-name";

const texts = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, place = node.parentElement, data = node.data.trim();
  if (!data || near(place, unseen)) continue;
  if (!place.checkVisibility({visibilityProperty: true})) continue;
  if (place instanceof SVGElement && !place.getClientRects().length) continue;  // a hidden group
  if (parseFloat(look(place).fontSize) === 0) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  const boxes = [...range.getClientRects()].filter(({width}) => width > 0);
  texts.push({place, data, boxes, layer: near(place, above)});
}

for (const {place, data} of texts) {
  const size = parseFloat(look(place).fontSize), number = NUMBER.test(data) && place.matches(
    "[data-field], [data-field] :not(sub, time), .suggestion-price *");
  if (size < (number ? 12 : 11)) found.push(`${size} px: ${data}`);
}

for (const {place, data, boxes} of texts) {
  const field = place.closest(FIELDS);
  if (!field) continue;
  for (let around = place; around; around = around.parentElement) {
    const box = around.getBoundingClientRect();
    const out = boxes.some(({left, right, top, bottom}) =>
      clips(around, "X") && (left < box.left - 1 || right > box.right + 1)
      || clips(around, "Y") && (top < box.top - 3 || bottom > box.bottom + 3));
    const narrow = clips(around, "X") && around.scrollWidth > around.clientWidth
      && around.clientWidth && field.contains(around);
    if (out || narrow) {
      found.push(`cut: ${data} by ${around.className || around.tagName}`);
      break;
    }
  }
}

// the part of a text that can be seen, where something clips or scrolls it
const visible = (box, place) => {
  let {left, right, top, bottom} = box;
  for (let around = place; around && around !== document.body; around = around.parentElement) {
    if (look(around).overflowX === "visible") continue;
    const edge = around.getBoundingClientRect();
    [left, right] = [Math.max(left, edge.left), Math.min(right, edge.right)];
    [top, bottom] = [Math.max(top, edge.top), Math.min(bottom, edge.bottom)];
  }
  return {left, right, top, bottom};
};
// Letters do not fill the height of their box.
const inked = ({left, right, top, bottom}) => {
  const room = (bottom - top) * 0.15;
  return {left: left + 0.5, right: right - 0.5, top: top + room, bottom: bottom - room};
};
const drawn = texts.flatMap(({place, data, boxes, layer}) => boxes.map((box) =>
  ({place, data, layer, ...visible(inked(box), place)}))).sort((a, b) => a.top - b.top);
drawn.forEach((one, index) => {
  for (const other of drawn.slice(index + 1)) {
    if (other.top >= one.bottom) break;
    if (one.place === other.place || one.layer !== other.layer) continue;
    if (Math.min(one.right, other.right) > Math.max(one.left, other.left))
      found.push(`over another: ${one.data} and ${other.data}`);
  }
});

for (const {data, left, right} of drawn) {
  const cut = (edge) => left < edge - 0.5 && right > edge + 0.5;
  if (cut(0) || cut(innerWidth)) found.push(`cut by the window: ${data}`);
}

const {scrollWidth, clientWidth} = document.documentElement;
if (scrollWidth > clientWidth) found.push(`${scrollWidth - clientWidth} px wider than the window`);

// Edges. Colours of color-mix() come as color(srgb 0.1 0.2 0.3 / 0.5).
const rgba = (text) => {
  const parts = text.match(/-?[\d.]+(e-?\d+)?/g).map(Number);
  const [r, g, b, a = 1] = parts;
  return text.startsWith("color(") ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
};
const over = ([r, g, b, a], below) => [r, g, b].map((part, i) => part * a + below[i] * (1 - a));
const ground = (place) => {
  if (!place) return [255, 255, 255];
  const colour = rgba(look(place).backgroundColor);
  return colour[3] === 1 ? colour : over(colour, ground(place.parentElement));
};
const light = (colour) => colour.slice(0, 3).map((part) => part / 255)
  .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
const contrast = (one, other) => {
  const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
};
const EDGED = "input:not([type=hidden]), button, summary, .pages *";
for (const place of document.querySelectorAll(EDGED)) {
  if (!place.checkVisibility() || near(place, unseen)) continue;
  if (parseFloat(look(place).borderTopWidth) === 0) continue;
  const behind = ground(place.parentElement), edge = rgba(look(place).borderTopColor);
  if (!edge[3] && !place.matches("input, button")) continue;  // a word that opens, with no edge
  const by = Math.max(contrast(over(edge, behind), behind), contrast(ground(place), behind));
  const name = place.className || place.id || place.tagName;
  if (by < 3) found.push(`edge of ${name} ${by.toFixed(2)} : 1`);
}
return [...new Set(found)];
})()"""

# What is wrong with the ring of the focus: on the link or field itself, or round its row.
RING = """(() => {
const focus = document.activeElement, row = focus.closest(".quote") ?? focus;
if (focus === document.body) return null;
const name = (focus.innerText || focus.ariaLabel || focus.name).split("\\n")[0];
const ringed = [focus, row].find((place) => getComputedStyle(place).outlineStyle === "solid");
if (!ringed || getComputedStyle(ringed).clipPath !== "none") return `no ring: ${name}`;
const {outlineOffset, outlineWidth} = getComputedStyle(ringed);
const reach = parseFloat(outlineOffset) + parseFloat(outlineWidth) - 1;  // parts of a pixel
for (const {left, right, top, bottom} of ringed.getClientRects()) {
  // Browsers do not scroll to what is nearly all in view.
  let edge = {left: 0, right: innerWidth, top: -20, bottom: innerHeight + 20}, around = ringed;
  while (edge) {
    if (left - reach < edge.left || right + reach > edge.right
      || top - reach < edge.top || bottom + reach > edge.bottom) return `ring cut: ${name}`;
    do around = around.parentElement;
    while (around !== document.body && getComputedStyle(around).overflowX === "visible");
    edge = around === document.body ? null : around.getBoundingClientRect();
  }
  const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  if (!ringed.contains(hit)) return `covered: ${name}`;
}
return "";
})()"""

# Targets that a pointer misses at this many pixels, except links in sentences.
SMALL = """([within, least]) => [...document.querySelectorAll(`${within} :is(${[
  "a", "button", "input:not([type=hidden])", "summary"]})`)]
.filter((place) => place.checkVisibility() && getComputedStyle(place).clipPath === "none"
  && !place.matches("p:not(.more, .suggestions p) a, .empty a, .skip"))
.filter((place) => {  // not those of a second line that is not shown
  const around = place.parentElement, inside = around.getBoundingClientRect();
  return getComputedStyle(around).overflowY !== "clip"
    || place.getBoundingClientRect().top < inside.bottom;
})
.map((place) => {
  place.scrollIntoView({block: "center", inline: "center"});
  const {left, top, width, height} = place.getBoundingClientRect();
  const [x, y] = [left + width / 2, top + height / 2];
  const hits = (x, y) => document.elementsFromPoint(x, y)[0]?.closest("a, button, input, summary");
  const reach = (step) => {
    let length = 0;
    while (length < least && hits(...step(length)) === place) length++;
    return length;
  };
  const wide = reach((by) => [x - by, y]) + reach((by) => [x + by, y]) - 1;
  const high = reach((by) => [x, y - by]) + reach((by) => [x, y + by]) - 1;
  return [`${place.className} ${place.innerText || place.name} ${wide} x ${high}`, wide, high];
}).filter(([, wide, high]) => Math.min(wide, high) < least - 1).map(([name]) => name)"""


def faults(page: Page) -> list[str]:
    """Return the faults of what is visible in a page, as it stands."""
    return list(page.evaluate(FAULTS))


def unfocused(page: Page) -> list[str]:
    """Press Tab until the page ends; return each place whose ring is missing, cut or covered."""
    found = []
    page.evaluate("document.activeElement.blur()")
    for _ in range(MOST_PLACES):
        page.keyboard.press("Tab")
        page.evaluate("new Promise(requestAnimationFrame)")  # until it has scrolled there
        if (fault := page.evaluate(RING)) is None:
            return list(filter(None, found))
        found.append(fault)
    return [f"the focus never leaves the page, even after {MOST_PLACES} places"]


def small_targets(page: Page, least: int, within: str = "body") -> list[str]:
    """Return the links, buttons and fields that take a pointer on less than so many pixels."""
    return list(page.evaluate(SMALL, [within, least]))
