"""Forms that answer while one types: what else on the page says the same follows."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect


def twin(page: Page, name: str) -> dict[str, list[str]]:
    """What the footer's link to the same as JSON or CSV asks for."""
    link = page.locator(".foot [data-live-links] a", has_text=name)
    return parse_qs(urlsplit(link.get_attribute("href") or "").query)


def test_the_links_below_a_prompt_are_of_the_text_that_stands_in_the_field(page: Page):
    page.goto("/prompt?sae=1")
    page.locator("#prompt-text").fill("one two three")
    expect(page.locator(".foot [data-live-links] a")).to_have_count(2)
    page.locator("#prompt-text").fill("one two")
    page.locator("select[name=rank]").select_option("+")
    expect(page.locator(".heatmap thead th")).to_have_count(2 + 3)
    expect(page).to_have_url(re.compile("rank="))
    for name in ("JSON", "CSV"):
        asked = twin(page, name)
        assert (asked["text"], asked["rank"]) == (["one two"], ["+"])
    page.locator("#prompt-text").fill("")
    expect(page.locator(".foot [data-live-links] a")).to_have_count(0)


def test_the_links_below_a_pair_are_of_the_two_texts(page: Page):
    page.goto("/contrast?sae=1&a=one&b=two")
    page.locator("#side-b").fill("three")
    expect(page).to_have_url(re.compile("b=three"))
    for name in ("JSON", "CSV"):
        assert twin(page, name)["b"] == ["three"]


def test_the_strips_of_an_answer_are_walked_by_arrows(page: Page):
    page.goto("/contrast?sae=1")
    page.locator("#side-a").fill("one two three")
    page.locator("#side-b").fill("one two four")
    strip = page.locator("#contrast-result .strip").first
    first = strip.locator(".tok[tabindex='0']")
    expect(first).to_have_count(1)
    first.focus()
    page.keyboard.press("ArrowRight")
    expect(strip.locator(".tok[data-value]").nth(1)).to_be_focused()


def test_the_length_of_a_page_stays_while_one_searches(page: Page):
    page.goto("/sae/1?limit=7")
    expect(page.locator("#feature-table tbody tr")).to_have_count(7)
    page.locator("input[name=two_sided]").check()
    expect(page).to_have_url(re.compile("two_sided=1"))
    expect(page).to_have_url(re.compile("limit=7"))
    expect(page.locator("#feature-table tbody tr")).to_have_count(7)


@pytest.mark.parametrize("is_inside", [True, False])
def test_arrows_scroll_a_wide_region_and_page_elsewhere(page: Page, is_inside: bool):
    page.goto("/sae/1/feature/4")
    page.evaluate(
        """() => {
          const wide = document.createElement("div");
          wide.id = "wide";
          wide.tabIndex = 0;
          wide.style.cssText = "width: 100px; overflow-x: auto";
          wide.append(document.createElement("p"));
          wide.firstChild.style.width = "400px";
          wide.firstChild.textContent = "wide";
          document.querySelector("main").prepend(wide);
        }"""
    )
    page.locator("#wide" if is_inside else "main").focus()
    page.keyboard.press("ArrowRight")
    if is_inside:
        page.wait_for_function("() => document.querySelector('#wide').scrollLeft > 0")
        expect(page).to_have_url(re.compile("/feature/4$"))
    else:
        expect(page).to_have_url(re.compile("/feature/5$"))


def test_what_sorts_and_pages_a_table_leads_to_the_table_and_back(page: Page):
    page.set_viewport_size({"width": 1000, "height": 500})
    page.goto("/sae/1?limit=10")
    heading = page.locator("#features")
    page.locator("a[rel=next]").click()
    expect(page).to_have_url(re.compile("start=11#features$"))
    below = page.locator(".masthead").bounding_box()["height"]
    page.wait_for_function(
        "() => document.querySelector('#features').getBoundingClientRect().y < 200"
    )
    assert below <= heading.bounding_box()["y"] < below + 60
    page.locator("th a", has_text="Balance").click()
    expect(page).to_have_url(re.compile("sort=pole_balance.*#features$"))
    page.go_back()
    expect(page.locator("#feature-table tbody td").first).to_have_text("10")


def test_how_many_match_is_said_above_the_table(page: Page):
    page.goto("/sae/1?sort=max#features")
    said = page.locator(".section-head:has(#features) .quiet").first
    expect(said).to_have_text("32")
    page.locator("input[name=search]").fill("king")
    expect(said).to_have_text(re.compile(r"^\d+ of 32 match$"))
    expect(page).to_have_url(re.compile("search=king"))
    expect(page).not_to_have_url(re.compile("#"))
