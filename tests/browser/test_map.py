"""The map: drawn by WebGL under the map page's own policy, searched, clicked, lassoed."""

import re

import pytest
from playwright.sync_api import Page, expect


@pytest.fixture
def drawn(page: Page) -> Page:
    page.goto("/sae/1/map?feature=4")
    expect(page.locator(".map-status")).to_contain_text("Click opens one", timeout=120_000)
    return page


def emit(page: Page, event: str, indices: list[int]) -> None:
    page.evaluate(
        """([event, indices]) => document.querySelector(".map-plot").emit(event, {
          points: indices.map((index) => ({ curveNumber: 0, pointIndex: index, customdata: index })),
        })""",
        [event, indices],
    )


def test_every_feature_is_a_point_of_a_webgl_scatter(drawn: Page):
    trace = drawn.evaluate(
        "(({ type, x }) => [type, x.length])(document.querySelector('.map-plot').data[0])"
    )
    assert trace == ["scattergl", 32]
    assert drawn.locator(".map-plot .gl-canvas").count() > 0


def test_the_colour_scale_is_centred_on_zero_and_made_of_our_colours(drawn: Page):
    for colour in ("balance", "opposition", "density"):
        drawn.locator("select[name=colour]").select_option(colour)
        expect(drawn).to_have_url(re.compile(f"colour={colour}"))
        marker = drawn.evaluate("document.querySelector('.map-plot').data[0].marker")
        assert marker["cmid"] == 0
        assert marker["cmin"] == -marker["cmax"]
        assert all(stop[1].startswith("rgb") for stop in marker["colorscale"])


def test_the_linked_feature_has_a_ring(drawn: Page):
    assert drawn.evaluate("document.querySelector('.map-plot').data[2].customdata") == [4]


def test_a_click_opens_the_feature(drawn: Page):
    emit(drawn, "plotly_click", [2])
    expect(drawn).to_have_url(re.compile("/sae/1/feature/2$"))


def test_search_rings_what_it_finds_and_says_how_many(drawn: Page):
    drawn.locator("input[name=search]").fill("queen")
    expect(drawn.locator(".map-status")).to_contain_text("1 of 32 features match")
    expect(drawn).to_have_url(re.compile("search=queen"))


def drag(page: Page, path: list[tuple[float, float]]) -> None:
    """Drag over the plot, in shares of its width and height."""
    box = page.locator(".map-plot .nsewdrag").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in path]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


ROUND = [(0.02, 0.02), (0.5, 0.02), (0.5, 0.98), (0.02, 0.98), (0.02, 0.1)]


@pytest.mark.parametrize(
    ("tool", "path"), [("Lasso Select", ROUND), ("Box Select", [(0.02, 0.02), (0.5, 0.98)])]
)
def test_a_drag_lists_what_it_went_round(drawn: Page, tool: str, path: list[tuple[float, float]]):
    drawn.locator(".map-plot").scroll_into_view_if_needed()
    drawn.locator(f".modebar-btn[data-title='{tool}']").click()
    drag(drawn, path)
    rows = drawn.locator("[data-role=selection-rows] tr")
    expect(rows.first).to_be_visible()
    inside = drawn.evaluate(
        """() => {
          const plot = document.querySelector(".map-plot");
          const { xaxis } = plot._fullLayout;
          const [left, right] = xaxis.range;
          const middle = left + (right - left) / 2;
          return plot.data[0].x.filter((x) => x < middle).length;
        }"""
    )
    assert 0 < inside < 32
    expect(rows).to_have_count(inside)


def test_a_selection_is_starred_at_once(drawn: Page):
    emit(drawn, "plotly_selected", [0, 4])
    drawn.locator("[data-role=selection-star]").click()
    expect(drawn).to_have_url(re.compile(r"/list\?item=1\.0&item=1\.4$"))
    expect(drawn.locator("tr[data-item]")).to_have_count(2)


def test_a_lasso_lists_its_features_and_offers_them_as_csv(drawn: Page):
    emit(drawn, "plotly_selected", [0, 4])
    links = drawn.locator("[data-role=selection-rows] a")
    expect(links).to_have_count(2)
    expect(links.first).to_contain_text("king ↔ queen")
    with drawn.expect_download() as download:
        drawn.locator("[data-role=selection-csv]").click()
    lines = download.value.path().read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["feature", "0", "4"]


def test_hover_texts_name_both_poles_and_markup_in_labels_is_text(drawn: Page):
    shown = drawn.locator(".map-hover")
    emit(drawn, "plotly_hover", [0])
    expect(shown.locator("span").nth(0)).to_have_text("− king")
    expect(shown.locator("span").nth(1)).to_have_text("+ queen")
    emit(drawn, "plotly_hover", [1])
    expect(shown).to_contain_text("<b>forest")
    emit(drawn, "plotly_unhover", [1])
    expect(shown).to_be_hidden()


def test_no_button_of_the_map_leads_elsewhere(drawn: Page):
    titles = drawn.locator(".modebar-btn").evaluate_all(
        "(buttons) => buttons.map((button) => button.dataset.title)"
    )
    assert len(titles) == 6
    assert not [title for title in titles if re.search("share|cloud|edit|link", title, re.I)]
