"""Several sliders on the steering page: what is changed stays when one is taken away."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, ready
from tests.browser.test_steering import ADDRESS, eventually, finished, tokens

WATCH_BUSY = """() => {
  const columns = document.querySelector("[data-role=columns]");
  window.busy = [];
  new MutationObserver(() => window.busy.push(columns.ariaBusy)).observe(columns, {
    attributeFilter: ["aria-busy"],
  });
}"""


def test_an_edit_is_taken_away_without_losing_what_was_changed(page: Page):
    page.goto(f"{ADDRESS}&edit=1.4.add.-1&edit=1.3.add.1")
    finished(page)
    strengths = page.locator("[data-role=strength]")
    strengths.nth(0).fill("1.5")
    strengths.nth(2).fill("0.5")
    page.locator("[name=prompt]").fill("Twice")
    page.locator("[data-role=remove]").first.click()
    page.wait_for_url(lambda url: "1.4.add" not in url)
    ready(page)
    assert "edit=1.3.add.0.5" in page.url
    expect(strengths.first).to_have_value("1.5")
    expect(page.locator("[name=prompt]")).to_have_value("Twice")


def test_the_safe_band_is_measured_again_where_other_positions_are_steered(page: Page, site: Site):
    page.goto(ADDRESS)
    expect(page.locator("[data-role=band-note]")).to_contain_text("on this prompt and seed")
    positions = page.locator("[name=positions]")
    page.locator("details", has=positions).locator("summary").click()
    positions.select_option("generated")

    def asked() -> list[str]:
        return [band.positions for path, band in site.worker.questions if path == "/band"]  # type: ignore[attr-defined]

    assert eventually(page, lambda: asked() == ["all", "generated"])


def test_a_part_that_is_folded_away_is_no_longer_written(page: Page, site: Site):
    page.goto(ADDRESS)
    finished(page)
    before = len(site.worker.streams)
    site.pace()
    page.locator("[data-name=sweep] summary").click()
    assert eventually(page, lambda: len(site.worker.streams) == before + 1)
    site.step()
    page.locator("[data-name=sweep] summary").click()
    site.step()
    assert eventually(page, lambda: site.worker.streams[-1].closed)
    assert site.worker.streams[-1].sent < 6


def test_a_text_that_was_called_off_does_not_pass_for_the_finished_one(page: Page, site: Site):
    site.pace()
    page.goto(ADDRESS)
    site.step()
    expect(tokens(page, "plus")).to_have_count(1)
    page.evaluate(WATCH_BUSY)
    page.locator("#slider").press("ArrowRight")
    assert eventually(page, lambda: len(site.worker.steers) == 2)
    assert eventually(page, lambda: site.worker.streams[0].closed)
    site.step(6)
    finished(page)
    assert page.evaluate("window.busy") == ["true", "true", "false"]  # called off, begun, finished


def test_the_track_of_one_pole_begins_grey_and_has_no_colour_of_the_other(page: Page):
    page.goto("/steer?sae=1&feature=1&tokens=4")
    finished(page)
    track, negative, positive = page.locator("#slider").evaluate(
        """(slider) => ["--track", "--neg-fill", "--pos-fill"].map((name) =>
          getComputedStyle(slider).getPropertyValue(name).trim())"""
    )
    assert negative not in track
    assert positive in track


def test_a_strength_of_six_digits_can_be_read(page: Page):
    page.goto(ADDRESS)
    finished(page)
    field = page.locator("[name=strength]")
    field.fill("-7.49123")
    assert field.evaluate("(input) => input.scrollWidth <= input.clientWidth")
