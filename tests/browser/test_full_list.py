"""The reader's own list when it is full."""

from playwright.sync_api import Page, expect

from tests.browser.test_map import emit

FILL = """(many) => localStorage.setItem("dipole-list", JSON.stringify(
  [...Array(many).keys()].map((number) => ({ key: `2.${number}`, note: "" }))))"""
STORED = "() => JSON.parse(localStorage.getItem('dipole-list')).length"


def test_a_star_on_a_full_list_says_so_and_the_list_opens(page: Page):
    page.goto("/sae/1/feature/0")
    page.evaluate(FILL, 200)
    star = page.locator(".star[data-item='1.0']")
    star.click()
    expect(page.locator("[data-role=star-full]")).to_contain_text("it holds 200")
    expect(star).to_have_attribute("aria-pressed", "false")
    assert page.evaluate(STORED) == 200
    page.locator("[data-role=star-full] a").click()
    expect(page.locator("tr[data-item]")).to_have_count(200)


def test_of_a_selection_what_fits_is_starred_and_the_rest_is_counted(page: Page):
    page.goto("/sae/1/map")
    expect(page.locator(".map-status")).to_contain_text("Click opens one", timeout=120_000)
    page.evaluate(FILL, 199)
    emit(page, "plotly_selected", [0, 4, 5])
    page.locator("[data-role=selection-star]").click()
    expect(page.locator("[data-role=selection-title]")).to_contain_text(
        "2 of 3 features did not fit"
    )
    assert page.evaluate(STORED) == 200
