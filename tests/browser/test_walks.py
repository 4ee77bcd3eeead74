"""Whole ways through the product: by keyboard alone, back and forward, and against the JSON."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ready
from tests.browser.test_new_pages import json_of, signs, tab_to


def no_mouse(page: Page) -> None:
    """Fail the test at the first pointer event."""
    page.add_init_script(
        """for (const name of ["pointerdown", "mousedown"])
          addEventListener(name, () => { throw new Error("a mouse was used"); }, true);"""
    )


def enter(page: Page, target: Locator) -> None:
    tab_to(page, target, most=120)
    page.keyboard.press("Enter")


def test_from_the_library_to_a_steered_text_without_a_mouse(page: Page):
    no_mouse(page)
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    enter(page, page.locator("main td a", has_text="tiny-abstopk"))
    expect(page).to_have_url(re.compile("/sae/1$"))
    ready(page)
    page.keyboard.press("/")
    page.keyboard.type("queen")
    expect(page).to_have_url(re.compile("search=queen"))
    expect(page.locator("#feature-table")).to_have_attribute("aria-busy", "false")
    enter(page, page.locator("#feature-table tbody .main-cell a").first)
    expect(page).to_have_url(re.compile("/feature/0$"))
    ready(page)
    page.keyboard.press("p")
    expect(page).to_have_url(re.compile("pole=-"))
    ready(page)
    enter(page, page.locator("summary.kwic").first)
    expect(page.locator("details[open] .context-full").first).to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.type("steer")
    expect(page.locator("#jump-list li").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#jump")).to_be_hidden()
    enter(page, page.locator("main a.button", has_text="Steer"))
    expect(page).to_have_url(re.compile("/steer"))
    expect(page.locator("[data-role=columns]")).to_have_attribute("aria-busy", "false")
    ready(page)
    tab_to(page, page.locator("#slider"), most=120)
    page.keyboard.press("End")
    expect(page.locator(".column-plus [data-role=output]")).not_to_be_empty()


def test_back_and_forward_restore_search_sort_and_filters_of_the_table(page: Page):
    page.goto("/sae/1?sort=max")
    page.locator("input[name=search]").fill("king")
    expect(page).to_have_url(re.compile("search=king"))
    rows = page.locator("#feature-table tbody tr").all_text_contents()
    assert 0 < len(rows) < 32
    page.locator("#feature-table .main-cell a").first.press("Enter")
    expect(page).to_have_url(re.compile("/feature/"))
    page.go_back()
    expect(page.locator("input[name=search]")).to_have_value("king")
    assert page.locator("#feature-table tbody tr").all_text_contents() == rows
    expect(page.locator("th[aria-sort]")).to_contain_text("0")
    page.go_forward()
    expect(page).to_have_url(re.compile("/feature/"))


def test_back_and_forward_restore_the_view_of_a_feature(page: Page):
    page.goto("/sae/1/feature/0")
    page.locator("a[data-by=mean]").press("Enter")
    expect(page).to_have_url(re.compile("by=mean"))
    page.keyboard.press("p")
    expect(page).to_have_url(re.compile("pole=-.*by=mean|by=mean.*pole=-"))
    expect(page.locator("ol[data-by=mean]").first).to_be_visible()
    page.go_back()
    expect(page.locator("h1 .neg")).to_contain_text("king")
    expect(page.locator("ol[data-by=mean]").first).to_be_visible()
    page.go_forward()
    expect(page.locator("h1 .neg")).to_contain_text("queen")


def test_back_restores_the_prompt_and_the_map(page: Page):
    page.goto("/prompt?sae=1&text=one+two+three&rank=sum_abs")
    page.locator(".heatmap tbody th a").first.press("Enter")
    expect(page).to_have_url(re.compile("/feature/"))
    page.go_back()
    expect(page.locator("#prompt-text")).to_have_value("one two three")
    expect(page.locator("select[name=rank]")).to_have_value("sum_abs")
    expect(page.locator(".heatmap thead th")).to_have_count(2 + 4)
    page.goto("/sae/1/map")
    expect(page.locator(".map-status")).to_contain_text("Click opens one", timeout=120_000)
    page.locator("input[name=search]").fill("queen")
    page.locator("select[name=colour]").select_option("density")
    expect(page).to_have_url(re.compile("colour=density"))
    page.goto("/")
    page.go_back()
    expect(page.locator(".map-status")).to_contain_text("1 of 32 features match", timeout=120_000)
    expect(page.locator("select[name=colour]")).to_have_value("density")


def test_the_table_shows_what_its_json_says(page: Page):
    page.goto("/sae/1?sort=pole_balance&min_balance=-0.9")
    rows = page.locator("#feature-table tbody tr")
    link = page.locator(".section-head a", has_text="JSON").get_attribute("href")
    answer = page.context.request.get(f"{link}").json()
    expect(rows).to_have_count(len(answer["features"]))
    shown = rows.evaluate_all(
        "(rows) => rows.map((row) => [...row.querySelectorAll('td.num')].map((cell) => cell.textContent))"
    )
    for cells, entry in zip(shown, answer["features"], strict=True):
        assert int(cells[0]) == entry["feature"]
        assert abs(signs([cells[3]])[0] - entry["max"]["-"]) < 0.006
        assert abs(signs([cells[4]])[0] - entry["max"]["+"]) < 0.006


def test_the_feature_page_shows_what_its_json_says_and_flips_exactly(page: Page):
    page.goto("/sae/1/feature/0")
    straight = json_of(page)
    for side, pole in (("neg", "-"), ("pos", "+")):
        half = page.locator(f".half-{side}")
        extremes = half.locator("ol[data-by=extreme] .kwic-value").all_text_contents()
        stored = [context["value"] for context in straight["poles"][pole]["contexts"]]
        assert len(extremes) == len(stored)
        assert all(abs(a - b) < 0.006 for a, b in zip(signs(extremes), stored, strict=True))
        logits = half.locator(".logit-lists li span").all_text_contents()
        rows = straight["poles"][pole]["promoted"] + straight["poles"][pole]["suppressed"]
        assert all(
            abs(a - row["logit"]) < 0.006 for a, row in zip(signs(logits), rows, strict=True)
        )
    page.keyboard.press("p")
    expect(page).to_have_url(re.compile("pole=-"))
    flipped = json_of(page)
    for pole in ("+", "-"):
        for now, before in (("promoted", "suppressed"), ("suppressed", "promoted")):
            negated = [
                {"token": row["token"], "logit": -row["logit"]}
                for row in straight["poles"][pole][before]
            ]
            assert flipped["poles"][pole][now] == negated


def test_a_grey_heatmap_still_tells_the_signs_apart(page: Page):
    page.goto("/prompt?sae=1&text=one+two+three+four+five+six")
    page.evaluate("document.documentElement.style.filter = 'grayscale(1)'")
    for side, glyph in (("neg", "−"), ("pos", "+")):
        cells = page.locator(f".cell[class*='{side}-']:not(.pos-0)")
        texts = cells.locator("[aria-hidden]").all_text_contents()
        assert texts
        assert set(texts) == {glyph}
        spoken = cells.locator(".sr").all_text_contents()
        assert all(text.startswith("minus" if side == "neg" else "plus") for text in spoken)


def test_a_grey_map_still_tells_the_signs_apart(page: Page):
    page.goto("/sae/1/map?colour=balance")
    expect(page.locator(".map-status")).to_contain_text("Click opens one", timeout=120_000)
    marker = page.evaluate("document.querySelector('.map-plot').data[0].marker")
    for value, symbol in zip(marker["color"], marker["symbol"], strict=True):
        expected = (
            "triangle-left" if value <= -1 / 3 else "triangle-right" if value >= 1 / 3 else "circle"
        )
        assert symbol == expected
    assert len(set(marker["symbol"])) > 1
