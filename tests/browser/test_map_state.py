"""Maps that have been used for a while, and two of them on one page."""

import json
import re

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Watched
from tests.browser.test_map import emit

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
