"""axe-core on every page, in light and in dark: nothing that keeps a reader out."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Site
from tests.browser.test_every_page import PAGES, settle

BARRIERS = ("serious", "critical")


def barriers(page: Page) -> list[str]:
    """What axe finds serious or critical: the rule, the place and what to do, one line each."""
    options = {"resultTypes": ["violations"]}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{rule['id']} ({rule['impact']}) {node['target']}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in BARRIERS
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_barrier(
    site: Site, new_context: Callable[..., BrowserContext], name: str, scheme: str
):
    page = new_context(base_url=site.url, color_scheme=scheme).new_page()
    page.goto(PAGES[name])
    settle(page, name)
    assert barriers(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier_in_the_jump_box(
    site: Site, new_context: Callable[..., BrowserContext], scheme: str
):
    page = new_context(base_url=site.url, color_scheme=scheme).new_page()
    page.goto("/")
    page.keyboard.press("Control+k")
    page.locator("#jump input").fill("queen")
    expect(page.locator("#jump-list li").first).to_be_visible()
    assert barriers(page) == []
