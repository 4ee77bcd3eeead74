"""The feature page in a browser: folds, the line that says what a token does, the flip."""

import re

import pytest
from playwright.sync_api import Page, expect


def test_intervals_are_folded_and_open_with_the_keyboard(page: Page):
    page.goto("/sae/1/feature/0")
    assert page.locator("#intervals .drawn").first.is_hidden()
    page.locator("#intervals > summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#intervals .drawn").first).to_be_visible()


def test_what_is_unfolded_stays_so_over_a_reload_and_on_the_next_feature(page: Page):
    page.goto("/sae/1/feature/0")
    page.locator("#turns > summary").click()
    expect(page).to_have_url(re.compile("[?]open=turns$"))
    page.locator("#intervals > summary").click()
    expect(page).to_have_url(re.compile("[?]open=intervals.turns$"))
    page.reload()
    expect(page.locator("#turns")).to_have_attribute("open", "")
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("/feature/1[?]open=intervals.turns$"))
    page.go_back()
    page.locator("#turns > summary").click()
    page.locator("#intervals > summary").click()
    expect(page).to_have_url(re.compile("/feature/0$"))


def test_a_token_says_what_its_own_pole_does_to_the_next_token(page: Page):
    page.goto("/sae/1/feature/0")
    line = page.locator(".token-effect")
    for side, glyph, word in (("neg", "−", "king"), ("pos", "+", "queen")):
        page.locator(f".half-{side} ol:not([hidden]) .kwic .tok.extreme").first.hover()
        expect(line).to_contain_text(f"along the {glyph} pole: promotes {word}")


def test_a_context_that_is_opened_shows_every_value_of_the_json(page: Page):
    page.goto("/sae/1/feature/0?pole=-")
    poles = page.request.get("/sae/1/feature/0.json?pole=-").json()["poles"]
    for side, pole in (("neg", "-"), ("pos", "+")):
        details = page.locator(f".half-{side} ol:not([hidden]) details").first
        details.locator("summary").click()
        expect(details.locator(".strip .tok[data-value]").first).to_be_visible()
        tokens = details.locator(".strip .tok").evaluate_all(
            "(tokens) => tokens.map((token) => Number((token.dataset.value ?? '0').replace('−', '-')))"
        )
        context = poles[pole]["contexts"][0]
        assert tokens == pytest.approx(context["activations"], abs=0.0051)
        assert details.locator(".strip .tok.extreme").count() == 1


def test_two_maps_ring_what_is_lassoed_in_the_other(page: Page):
    pairs = {"matched": [{"a": 2, "b": 5, "cosine": -0.9}]}
    page.route("**/compare.json*", lambda route: route.fulfill(json=pairs))
    page.goto("/sae/1/map?with=1")
    drawn = page.locator(".map-status", has_text="Click opens one")
    expect(drawn).to_have_count(2, timeout=120_000)
    expect(page.locator("[data-role=pairs]")).to_contain_text("1 pairs of features matched")
    page.evaluate(
        """document.querySelector("[data-side=a] .map-plot").emit("plotly_selected", {
          points: [{ curveNumber: 0, pointIndex: 2, customdata: 2 }],
        })"""
    )
    expect(page.locator("[data-side=b] [data-role=selection-rows] a")).to_have_attribute(
        "href", "/sae/1/feature/5"
    )
    ringed = "document.querySelector('[data-side=b] .map-plot').data[2].customdata"
    page.wait_for_function(f"({ringed}).includes(5)")


def test_filters_of_every_figure_narrow_the_table_as_they_are_typed(page: Page):
    page.goto("/sae/1")
    page.get_by_text("More filters").click()
    page.locator("input[name=min_max_neg]").fill("1")
    expect(page.locator(".pager")).not_to_contain_text("of 32")
