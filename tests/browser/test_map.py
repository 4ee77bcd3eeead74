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


def test_a_lasso_lists_its_features_and_offers_them_as_csv(drawn: Page):
    emit(drawn, "plotly_selected", [0, 4])
    links = drawn.locator(".selection-list a")
    expect(links).to_have_count(2)
    expect(links.first).to_contain_text("king ↔ queen")
    with drawn.expect_download() as download:
        drawn.locator("[data-role=selection-csv]").click()
    lines = download.value.path().read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["feature", "0", "4"]


def test_hover_texts_name_both_poles_and_markup_in_labels_is_text(drawn: Page):
    texts = drawn.evaluate("document.querySelector('.map-plot').data[0].text")
    assert "− king" in texts[0]
    assert "+ queen" in texts[0]
    assert "&lt;b&gt;forest" in texts[1]


def test_no_button_of_the_map_leads_elsewhere(drawn: Page):
    titles = drawn.locator(".modebar-btn").evaluate_all(
        "(buttons) => buttons.map((button) => button.dataset.title)"
    )
    assert len(titles) == 6
    assert not [title for title in titles if re.search("share|cloud|edit|link", title, re.I)]
