"""Maps that have been used for a while, and two of them on one page."""

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Watched
from tests.browser.test_map import ROUND, drag, emit

READY = re.compile("Click opens one")
ROWS = "[data-role=selection-rows] tr"
COUNT = """() => {
  window.contexts = 0;
  const { getContext } = HTMLCanvasElement.prototype;
  HTMLCanvasElement.prototype.getContext = function (...options) {
    if (options[0].startsWith("webgl") && !this.isConnected) window.contexts += 1;
    return getContext.apply(this, options);
  };
}"""
REDRAW = "() => document.dispatchEvent(new CustomEvent('themechange'))"


def test_drawing_a_map_again_takes_no_drawing_context_of_the_few_there_are(page: Page):
    page.goto("/sae/1/map")
    expect(page.locator(".map-status")).to_contain_text("Click opens one", timeout=120_000)
    page.evaluate(COUNT)
    for _ in range(3):
        page.evaluate(REDRAW)
    assert page.evaluate("window.contexts") == 0


def test_each_of_two_maps_offers_its_own_selection(page: Page, watched: Watched):
    page.goto("/sae/1/map?with=1")
    links = page.locator("[data-role=selection-csv]")
    expect(links).to_have_count(2)
    for status in page.locator(".map-status").all():
        expect(status).to_contain_text("Click opens one", timeout=120_000)
    emit(page, "plotly_selected", [2, 4])  # 2 of the first is matched with 3 of the second
    tables = []
    for link in links.all():
        with page.expect_download() as download:
            link.click()
        tables.append(download.value.path().read_text())
    assert [table.splitlines()[0].split(",")[3] for table in tables] == ["pole_balance"] * 2
    listed = [[line.split(",")[0] for line in table.splitlines()[1:]] for table in tables]
    assert listed == [["2", "4"], ["3"]]


def test_a_diamond_stands_where_opposition_is_beyond_its_null(page: Page):
    def with_null(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=json.dumps(answer.json() | {"opposition_null_95": 0.5}))

    page.route(re.compile(r"/map\.json"), with_null)
    page.goto("/sae/1/map?colour=opposition")
    expect(page.locator("[data-role=legend]")).to_contain_text("◆: above +0.50", timeout=120_000)
    marker = page.evaluate("document.querySelector('.map-plot').data[0].marker")
    expected = ["diamond" if value > 0.5 else "circle" for value in marker["color"]]
    assert marker["symbol"] == expected
    assert marker["colorbar"]["title"]["text"] == "opposition, spreads of its strangers"


def test_a_map_without_scores_of_opposition_says_so(page: Page):
    page.goto("/sae/1/map?colour=opposition")
    said = page.locator("[data-role=legend]")
    expect(said).to_contain_text("has not been scored", timeout=120_000)
    assert set(page.evaluate("document.querySelector('.map-plot').data[0].marker.symbol")) == {
        "circle"
    }


def listed(page: Page) -> list[str]:
    return page.locator(f"{ROWS} td:first-child").all_text_contents()


def open_map(page: Page, url: str) -> None:
    page.goto(url)
    for status in page.locator(".map-status").all():
        expect(status).to_contain_text(READY, timeout=120_000)


def test_a_selection_is_in_the_address_and_there_again_after_a_reload_and_after_going_back(
    page: Page,
):
    open_map(page, "/sae/1/map")
    emit(page, "plotly_selected", [4, 0, 5, 6])
    expect(page).to_have_url(re.compile(r"[?&]selected=0\.4-6$"))
    page.reload()
    expect(page.locator(ROWS)).to_have_count(4)
    assert sorted(listed(page)) == ["0", "4", "5", "6"]
    assert page.evaluate("document.querySelector('.map-plot').data[0].selectedpoints") == [
        0,
        4,
        5,
        6,
    ]
    page.locator("select[name=colour]").select_option("density")
    expect(page).to_have_url(re.compile(r"selected=0\.4-6&colour=density"))
    emit(page, "plotly_click", [2])
    expect(page).to_have_url(re.compile("/feature/2$"))
    page.go_back()
    expect(page.locator(ROWS)).to_have_count(4)
    emit(page, "plotly_deselect", [])
    expect(page).not_to_have_url(re.compile("selected"))


@pytest.mark.parametrize(
    ("tool", "path"), [("Lasso Select", ROUND), ("Box Select", [(0.02, 0.02), (0.5, 0.98)])]
)
def test_of_many_features_the_line_is_in_the_address_and_finds_the_same_again(
    page: Page, tool: str, path: list[tuple[float, float]]
):
    def shorter(route) -> None:
        source = route.fetch().text()
        assert "LONGEST = 400" in source
        route.fulfill(
            body=source.replace("LONGEST = 400", "LONGEST = 4"), content_type="text/javascript"
        )

    page.route("**/map_address*.js", shorter)  # the small map then has too many
    open_map(page, "/sae/1/map")
    page.locator(".map-plot").scroll_into_view_if_needed()
    page.locator(f".modebar-btn[data-title='{tool}']").click()
    drag(page, path)
    expect(page).to_have_url(re.compile("[?&]around=[-0-9.,%C]+$"))
    chosen = listed(page)
    assert 0 < len(chosen) < 32
    assert len(page.url) < 1200
    page.reload()
    expect(page.locator(ROWS)).to_have_count(len(chosen))
    assert listed(page) == chosen


def test_of_two_maps_the_address_keeps_the_one_that_was_drawn_on(page: Page):
    open_map(page, "/sae/1/map?with=1")
    emit(page, "plotly_selected", [0])
    expect(page).to_have_url(re.compile("selected=0$"))
    page.evaluate(
        """() => document.querySelector("[data-side=b] .map-plot").emit("plotly_selected", {
          points: [{ curveNumber: 0, pointIndex: 3, customdata: 3 }],
        })"""
    )
    expect(page).to_have_url(re.compile("with=1&selected_b=3$"))
    page.reload()
    expect(page.locator(f"[data-side=b] {ROWS} td:first-child")).to_have_text("3")
    expect(page.locator(f"[data-side=a] {ROWS} td:first-child")).to_have_text("2")
