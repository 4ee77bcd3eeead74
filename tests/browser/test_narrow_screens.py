"""At 380 px nothing that matters is out of sight: the menu, the figures of both SAEs, names of features."""

import pytest
from playwright.sync_api import Locator, Page, expect


@pytest.fixture
def narrow(page: Page) -> Page:
    page.set_viewport_size({"width": 380, "height": 800})
    return page


def is_inside(element: Locator, width: int = 380) -> bool:
    box = element.bounding_box()
    assert box is not None
    return box["x"] >= 0 and box["x"] + box["width"] <= width


def test_every_entry_of_the_menu_is_on_the_screen(narrow: Page):
    narrow.goto("/list")
    entries = narrow.locator(".nav a").all()
    assert len(entries) == 7
    assert all(is_inside(entry) for entry in entries)


def test_both_columns_of_the_figures_are_on_the_screen(narrow: Page):
    narrow.goto("/compare?a=1&b=2")
    table = narrow.locator(".scroll:has(.figures)")
    assert table.evaluate("(node) => node.scrollWidth <= node.clientWidth")


def test_the_name_of_a_listed_feature_has_room_for_its_words(narrow: Page):
    narrow.goto("/list?item=1.0&item=1.1")
    name = narrow.locator("tr[data-item] th").first
    expect(name).to_contain_text("king")
    box = name.bounding_box()
    assert box is not None
    assert box["width"] >= 160
