"""axe-core on what a page shows: WCAG 2.2, levels A and AA; and what it does not know: 48 pixels, clipped words."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from playwright.sync_api import Page

_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_RUN = """async (tags) => {
    const { violations } = await axe.run(document, {
        runOnly: { type: "tag", values: tags }, resultTypes: ["violations"],
    });
    const whyOf = (any) => any.map((one) => one.message).join("; ");
    return violations.flatMap(({ id, help, nodes }) =>
        nodes.map(({ html, any }) => `${id}: ${help}: ${html.slice(0, 160)} ${whyOf(any)}`));
}"""
# Buttons whose words do not fit or that lie on each other, anything to touch below 48 pixels, letters without feet.
# Lists scroll; a name may end in an ellipsis, an entry of a list after some lines.
_CLIPPED = """() => {
    const said = [];
    for (const one of document.querySelectorAll("button, input")) {
        const box = one.getBoundingClientRect();
        if (!box.width || !box.height || one.closest("[hidden]")) continue;
        const name = one.dataset.testid || one.id || one.textContent.trim();
        const size = `${Math.round(box.width)} x ${Math.round(box.height)} px`;
        if (box.height < 47.5 || box.width < 47.5) said.push(`${name}: ${size}`);
        if (one.tagName === "BUTTON" && !one.matches(".entry, .tile, #finding-line, #ask-hospital")
            && (one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1))
            said.push(`${name}: its words are clipped (${one.textContent.trim()})`);
    }
    const { scrollWidth, scrollHeight } = document.documentElement;
    if (scrollWidth > innerWidth || scrollHeight > innerHeight)
        said.push(`the page is ${scrollWidth} x ${scrollHeight} px`);
    for (const one of document.querySelectorAll("#bar > *, .choices > button"))
        if (one.getBoundingClientRect().right > innerWidth + 1 || one.getBoundingClientRect().left < -1)
            said.push(`${one.id} is beyond the edge`);
    const seen = [...document.querySelectorAll("#bar button, #bar input, .choices > *, #side button")]
        .map((one) => [one, one.getBoundingClientRect()]).filter(([, box]) => box.width);
    for (const [one, a] of seen)
        for (const [other, b] of seen)
            if (one !== other && !one.contains(other) && !other.contains(one) && a.left + 1 < b.right
                && b.left + 1 < a.right && a.top + 1 < b.bottom && b.top + 1 < a.bottom && one.id < other.id)
                said.push(`${one.id} lies on ${other.id}`);
    const worded = "#bar :not(.visually-hidden), .review-title, .choice-title, .tile-kind, .question, .finding";
    for (const one of document.querySelectorAll(worded))
        if (getComputedStyle(one).overflowY === "hidden" && one.scrollHeight > one.clientHeight + 1)
            said.push(`${one.className || one.id}: the lower edge of its words is cut (${one.textContent.trim()})`);
    return said;
}"""


@cache
def _axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def complaints_of(page: Page) -> list[str]:
    """A line for each thing that is wrong with what `page` shows; [] when nothing is."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(_axe())
    found: list[str] = page.evaluate(_RUN, _TAGS)
    return found + [str(one) for one in page.evaluate(_CLIPPED)]
