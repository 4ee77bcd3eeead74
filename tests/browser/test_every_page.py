"""Every page, in light, dark and on a narrow screen: fits, and breaks no rule of its own."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Site, Watched

MISSING = "/sae/99"
PAGES = {
    "library": "/",
    "sae": "/sae/1",
    "feature": "/sae/1/feature/0",
    "empty pole": "/sae/1/feature/1?by=mean",
    "prompt": "/prompt?sae=1&text=She+was+very+happy+and+the+king+ran+home+today",
    "map": "/sae/1/map?feature=4",
    "steer": "/steer?sae=1&feature=0",
    "flipped": "/sae/1/feature/0?pole=-",
    "contrast": "/contrast?sae=1&mode=pair&a=He+was+happy&b=She+was+happy",
    "two ends": "/contrast?sae=1&mode=ends&a=He+ran%0AHe+sang&b=She+ran%0AShe+sang",
    "compare": "/compare?a=1&b=2",
    "concept": "/concept?sae=1&contrast=temperature",
    "one-sided": "/sae/1/feature/2?text=one+two+three",
    "two maps": "/sae/1/map?with=1",
    "no match": "/sae/1?search=zzzz",
    "not indexed": "/sae/2",
    "no text": "/prompt",
    "train": "/train",
    "import": "/import",
    "axis": "/axis?plus=one%0Atwo&minus=three",
    "run": "/run/1",
    "runs": "/runs",
    "empty list": "/list",
    "cards": "/list?item=1.0&item=1.2.neg&view=cards",
    "list": "/list?title=Mine&item=1.0&item=1.2.neg~a+note&item=1.999",
    "embed": "/embed/sae/1/feature/0",
    "docs": "/docs",
    "error": MISSING,
}
SCREENS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "380": {"color_scheme": "light", "viewport": {"width": 380, "height": 800}},
}


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_breaks_no_rule(
    site: Site, watched: Watched, new_context: Callable[..., BrowserContext], name: str, screen: str
):
    page = new_context(base_url=site.url, **SCREENS[screen]).new_page()
    watched.follow(page, site.url)
    page.goto(PAGES[name])
    settle(page, name)
    width = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert width[0] <= width[1]
    assert page.evaluate("window.violations") == []
    if name == "error":  # Chromium reports the 404 of the page itself
        watched.problems = [text for text in watched.problems if "404" not in text]
    assert watched.problems == []


def settle(page: Page, name: str) -> None:
    """Wait until a page of `PAGES` has drawn what its scripts draw."""
    if "map" in name:
        for status in page.locator(".map-status").all():
            expect(status).to_contain_text("Click opens one", timeout=120_000)
    if name == "steer":
        expect(page.locator("[data-role=columns]")).to_have_attribute("aria-busy", "false")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_told_from_its_background(
    site: Site, new_context: Callable[..., BrowserContext], scheme: str
):
    page = new_context(base_url=site.url, color_scheme=scheme).new_page()
    page.goto("/sae/1/feature/0")
    ratios = page.evaluate(
        """() => {
          const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
          const light = (text) => {
            const [r, g, b] = rgb(text).map((v) => v / 255)
              .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const paper = light(getComputedStyle(document.documentElement).backgroundColor);
          return [...document.querySelectorAll("h1 .neg, h1 .pos, .quiet, .faint, dt")].map((node) => {
            const ink = light(getComputedStyle(node).color);
            return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
          });
        }"""
    )
    assert min(ratios) >= 4.5


@pytest.mark.parametrize("path", ["/", "/sae/1", "/sae/1/feature/0", PAGES["prompt"], "/docs"])
def test_pages_read_without_scripts(
    site: Site, new_context: Callable[..., BrowserContext], path: str
):
    page = new_context(base_url=site.url, java_script_enabled=False).new_page()
    page.goto(path)
    assert page.locator("main table, main .context, main .heatmap, main .operation").count() > 0
    expect(page.locator("[data-open=jump]")).to_be_hidden()


def test_the_sign_of_a_token_is_seen_without_colour(
    site: Site, new_context: Callable[..., BrowserContext]
):
    page = new_context(base_url=site.url).new_page()
    page.goto("/sae/1/feature/0")
    shadows = {
        side: page.locator(f".half-{side} .kwic > .tok.extreme").first.evaluate(
            "(node) => getComputedStyle(node).boxShadow"
        )
        for side in ("neg", "pos")
    }
    assert "0px -2px" in shadows["neg"]
    assert "0px 2px" in shadows["pos"]
