"""The jump box when one types faster than it answers."""

import re

from playwright.sync_api import Page, expect


def test_enter_opens_what_was_typed_and_not_what_was_listed_before(page: Page):
    page.goto("/")
    page.keyboard.press("Control+k")
    expect(page.locator("#jump-list li").first).to_be_visible()
    page.keyboard.type("compare")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/compare$"))


def test_a_screen_reader_is_told_the_entry_that_enter_opens(page: Page):
    page.goto("/")
    page.keyboard.press("Control+k")
    field, entries = page.locator("#jump input"), page.locator("#jump-list [role=option]")
    expect(field).to_have_attribute("aria-activedescendant", "jump-0")
    page.keyboard.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", "jump-1")
    page.keyboard.type("king")
    expect(entries.first).to_contain_text("king")
    expect(field).to_have_attribute("aria-activedescendant", "jump-0")
    said = page.locator("#jump [data-role=nothing]")
    expect(said).to_be_empty()
    field.fill("zebra zebra")
    expect(entries).to_have_count(0)
    expect(said).to_have_text("Nothing is called “zebra zebra”.")
    expect(field).not_to_have_attribute("aria-activedescendant", re.compile("."))
