"""The concept page in a browser: it says that it works, and every strength is seen on a desk."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Site
from tests.server.web.test_concept import ANSWER

CONTRAST = "/concept?sae=1&contrast=temperature"
FIFTEEN = [-1.3, -0.9, -0.6, -0.4, -0.25, -0.15, -0.08, 0, 0.08, 0.15, 0.25, 0.4, 0.6, 0.9, 1.3]


def test_a_click_on_a_built_in_concept_says_that_it_takes_a_while_until_one_is_back(page: Page):
    page.goto("/concept?sae=1")
    # The answer never comes: nothing can be asked of a page that waits for its next one.
    page.evaluate("document.addEventListener('click', (event) => event.preventDefault())")
    page.locator(".empty a", has_text="temperature").click()
    status = page.locator("form [data-role=note]")
    expect(status).to_contain_text("temperature. Choosing, scoring and steering")
    expect(page.locator("[data-role=offer-note]")).to_be_visible()
    expect(page.locator("form[data-module=concept]")).to_have_attribute("aria-busy", "true")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(status).to_have_text("")
    expect(page.locator("[data-role=offer-note]")).to_be_hidden()


def test_every_strength_is_seen_at_1280_and_narrower_the_table_says_that_it_goes_on(
    page: Page, site: Site
):
    names = ("log_odds", "loss_rise", "kl", "written_loss_rise", "repetition_rise")
    row = ANSWER.effects[0]
    wide = {"shares": FIFTEEN, "safe": [True] * 15, **dict.fromkeys(names, [-1.25] * 15)}
    ways = ("single", "steering", "pair", "dim")
    effects = [row.model_copy(update={"way": way, **wide}) for way in ways]
    site.worker.answers["/concept"] = ANSWER.model_copy(update={"effects": effects})
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(CONTRAST)
    table, hint = page.locator(".scroll:has(.effects)"), page.locator(".sideways")
    room = "(node) => node.clientWidth - node.scrollWidth"
    assert table.evaluate(room) >= 0
    expect(hint).to_be_hidden()
    page.set_viewport_size({"width": 380, "height": 900})
    assert table.evaluate(room) < 0
    expect(hint).to_be_visible()


def test_a_name_stays_beside_its_swatch_which_is_drawn_like_its_line(page: Page):
    page.goto(CONTRAST)
    figure = page.locator("figure:has(.effect)").first
    dashes = [
        figure.locator(f"{place} .line").evaluate_all(
            "(lines) => lines.map((line) => [line.getAttribute('class'), line.getAttribute('stroke-dasharray')])"
        )
        for place in (".effect", ".key")
    ]
    assert dashes[0] == dashes[1]
    heights = figure.locator(".swatches li").evaluate_all("(all) => all.map((e) => e.offsetHeight)")
    assert max(heights) < 30


def test_the_fields_of_ones_own_lists_stand_apart_and_in_one_line_each(page: Page):
    page.goto("/concept?sae=1")
    label = page.locator("[data-role=csv] > span")
    expect(label).to_have_text(re.compile("columns text and label"))
    assert label.evaluate("(node) => node.offsetHeight") < 30
    gap = page.evaluate(
        """() => {
          const side = document.querySelector(".two-sides");
          const above = side.previousElementSibling.getBoundingClientRect().bottom;
          return side.getBoundingClientRect().top - above;
        }"""
    )
    assert gap >= 8
