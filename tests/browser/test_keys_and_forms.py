"""What scripts add to pages: keys, the jump box, the theme, live forms."""

import re

import pytest
from playwright.sync_api import Page, expect

from frontend import filters
from tests.browser.conftest import Site, Watched, ready
from tests.browser.test_steering import eventually


def test_p_flips_the_poles_and_flips_them_back(page: Page):
    page.goto("/sae/1/feature/0")
    expect(page.locator("h1 .neg")).to_contain_text("king")
    page.keyboard.press("p")
    expect(page).to_have_url(re.compile(r"pole=-"))
    expect(page.locator("h1 .neg")).to_contain_text("queen")
    ready(page)
    page.keyboard.press("p")
    expect(page.locator("h1 .neg")).to_contain_text("king")


def test_arrows_page_through_features(page: Page):
    page.goto("/sae/1/feature/4")
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("/feature/5$"))
    ready(page)
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile("/feature/4$"))


def test_arrows_inside_a_strip_walk_its_tokens_and_stay(page: Page):
    page.goto("/sae/1/feature/0")
    page.locator("summary.kwic").first.click()
    strip = page.locator("details[open] .strip").first
    strip.locator(".tok[tabindex='0']").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile("/feature/0$"))
    expect(strip.locator(".tok[data-value]").first).to_be_focused()


def test_slash_goes_to_the_search_field(page: Page):
    page.goto("/sae/1")
    page.keyboard.press("/")
    expect(page.locator("input[name=search]")).to_be_focused()
    expect(page.locator("input[name=search]")).to_have_value("")


def test_keys_do_nothing_while_typing(page: Page):
    page.goto("/sae/1/feature/0")
    page.locator("#test-text").press_sequentially("p?")
    expect(page).to_have_url(re.compile("/feature/0$"))
    expect(page.locator("#keys")).to_be_hidden()


def test_a_question_mark_lists_the_keys(page: Page):
    page.goto("/")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()


@pytest.mark.parametrize("modifier", ["Control", "Meta"])
def test_the_jump_box_opens_what_it_finds(page: Page, modifier: str):
    page.goto("/")
    page.keyboard.press(f"{modifier}+k")
    page.locator("#jump input").fill("queen")
    expect(page.locator("#jump-list li").first).to_contain_text("king ↔ queen")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/sae/1/feature/0$"))


def test_escape_closes_the_jump_box_even_with_text_in_it(page: Page):
    page.goto("/")
    page.keyboard.press("Control+k")
    page.locator("#jump input").fill("queen")
    page.keyboard.press("Escape")
    expect(page.locator("#jump")).to_be_hidden()


def test_the_theme_stays_chosen_and_is_on_the_page_before_it_is_drawn(page: Page):
    page.goto("/")
    page.locator("[data-module=theme]").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    html = page.context.request.get(page.url).text()
    assert '<html lang="en" data-theme="dark">' in html


def test_search_as_you_type_shows_the_rows_of_the_last_text(page: Page):
    page.goto("/sae/1")
    page.locator("input[name=search]").press_sequentially("king", delay=30)
    expect(page).to_have_url(re.compile("search=king"))
    expect(page.locator("#feature-table tbody tr").first).to_contain_text("matched −")
    expect(page.locator("[data-live-links] a").first).to_have_attribute(
        "href", re.compile("search=king")
    )
    page.locator("input[name=search]").fill("zebra")
    expect(page.locator("#feature-table")).to_contain_text("No feature matches")


def test_the_prompt_is_read_while_it_is_typed(page: Page, site: Site):
    page.goto("/prompt")
    page.locator("textarea[name=text]").press_sequentially("She was happy", delay=20)
    expect(page.locator(".heatmap thead th")).to_have_count(2 + 4)
    expect(page).to_have_url(re.compile("text=She\\+was\\+happy"))
    assert site.worker.prompts[-1].text == "She was happy"


def test_a_refusal_is_shown_where_the_answer_would_be(page: Page, watched):
    page.goto("/prompt")
    page.locator("textarea[name=text]").fill("too long")
    expect(page.locator("#prompt-result [role=alert]")).to_contain_text("shorten it")
    watched.problems.clear()  # Chromium reports the 422 itself


def test_what_is_typed_before_the_script_arrives_is_read_too(page: Page):
    held = []
    page.route("**/live_form*.js*", lambda route: held.append(route))
    page.goto("/prompt", wait_until="domcontentloaded")
    page.locator("textarea[name=text]").fill("one two three")
    assert eventually(page, lambda: held), "the script must still be on its way"
    held[0].continue_()
    expect(page.locator("#prompt-result table")).to_be_visible()


def test_a_page_says_when_its_keys_and_buttons_answer(page: Page):
    held = []
    page.route("**/star*.js*", lambda route: held.append(route))
    page.goto("/sae/1/feature/0", wait_until="domcontentloaded")
    assert eventually(page, lambda: held), "the script must still be on its way"
    expect(page.locator("html")).not_to_have_attribute("data-ready", "")
    for route in held:
        route.continue_()
    page.unroute("**/star*.js*")
    ready(page)
    page.locator(".star[data-item='1.0']").press("Enter")
    expect(page.locator(".star[data-item='1.0']")).to_have_attribute("aria-pressed", "true")


def test_the_test_box_colours_a_text_and_negates_it_on_the_flipped_page(page: Page):
    def values(path: str) -> list[str]:
        page.goto(path)
        page.locator("#test-text").fill("one two three four five")
        expect(page.locator("[data-role=result] .tok").nth(5)).to_be_visible()
        return page.locator("[data-role=result] .tok[data-value]").evaluate_all(
            "(nodes) => nodes.map((node) => node.dataset.value)"
        )

    straight, flipped = values("/sae/1/feature/2"), values("/sae/1/feature/2?pole=-")
    assert straight
    assert [value.replace("−", "+") for value in flipped] == straight


def test_by_mean_puts_the_other_list_in_its_place_and_keeps_what_was_typed(page: Page):
    page.goto("/sae/1/feature/0")
    page.locator("#test-text").fill("a word")
    page.locator("a[data-by=mean]").click()
    expect(page).to_have_url(re.compile("by=mean"))
    expect(page.locator("ol[data-by=mean]").first).to_be_visible()
    expect(page.locator("ol[data-by=extreme]")).to_have_count(0)
    expect(page.locator("#test-text")).to_have_value("a word")
    opened = page.locator("ol[data-by=mean] details").first
    opened.locator("summary").click()
    expect(opened.locator(".strip [data-value]").first).to_be_visible()
    page.locator("a[data-by=extreme]").click()
    expect(page.locator("ol[data-by=extreme]")).to_have_count(2)
    expect(page).not_to_have_url(re.compile("by="))


def test_a_list_that_cannot_be_fetched_leaves_the_page_as_it_is(page: Page, watched: Watched):
    page.goto("/sae/1/feature/0")
    page.route("**/feature/0?by=mean*", lambda route: route.abort())
    page.locator("#test-text").fill("a word")
    page.locator("a[data-by=mean]").click()
    expect(page.locator("[data-role=by-said]")).to_contain_text("could not be loaded")
    expect(page.locator("a[data-by=extreme]")).to_have_attribute("aria-current", "true")
    expect(page.locator("ol[data-by=extreme]")).to_have_count(2)
    expect(page.locator("#test-text")).to_have_value("a word")
    expect(page).not_to_have_url(re.compile("by="))
    watched.problems.clear()  # Chromium reports the request that this test has broken


def test_going_back_before_the_other_list_has_come_shows_the_one_that_stands(page: Page):
    page.goto("/sae/1/feature/0")
    held = []
    page.route("**/feature/0?by=mean*", lambda route: held.append(route))
    page.locator("a[data-by=mean]").click()
    contexts = page.locator("section[data-module=whole_context]")
    expect(contexts).to_have_attribute("aria-busy", "true")
    page.locator("a[data-by=extreme]").click()
    expect(contexts).not_to_have_attribute("aria-busy", "true")
    expect(page.locator("a[data-by=extreme]")).to_have_attribute("aria-current", "true")
    expect(page.locator("ol[data-by=extreme]")).to_have_count(2)
    expect(page).not_to_have_url(re.compile("by="))


def test_numbers_read_the_same_in_the_browser_as_on_the_server(page: Page):
    page.goto("/")
    values = [0, 1, -1, 0.004, -0.004, -3.256, 12.5, 1e-7, -1e-7, -99.999]
    tokens = [" she", "\n", "   ", "\x00", "\u202e", "\u200b", "é", "\t\x7f", ""]
    module = (
        page.locator("script[type=module]").get_attribute("src").replace("app.js", "numbers.js")
    )
    shown = page.evaluate(
        """async ([module, values, tokens]) => {
          const numbers = await import(module);
          return {
            signed: values.map((value) => numbers.signed(value)),
            spoken: values.map((value) => numbers.spoken(value)),
            percent: values.map((value) => numbers.percent(Math.abs(value))),
            ladder: values.map((value) => numbers.ladder(value, 12.5)),
            visible: tokens.map((token) => numbers.visible(token)),
          };
        }""",
        [module, values, tokens],
    )
    assert shown == {
        "signed": [filters.signed(value) for value in values],
        "spoken": [filters.spoken(value) for value in values],
        "percent": [filters.percent(abs(value), 2) for value in values],
        "ladder": [filters.ladder(value, 12.5) for value in values],
        "visible": [filters.visible(token) for token in tokens],
    }
