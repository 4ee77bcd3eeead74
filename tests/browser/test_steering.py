"""The steering page: three columns written together, a slider that restarts them, a link that
reproduces them."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Site

ADDRESS = "/steer?sae=1&feature=0&strength=2&prompt=Once&seed=3&tokens=6"
NAMES = ("minus", "zero", "plus")


def outputs(page: Page) -> list[str]:
    return [page.locator(f".column-{name} [data-role=output]").inner_text() for name in NAMES]


def tokens(page: Page, name: str):
    return page.locator(f".column-{name} [data-role=output] span:not(:first-child)")


def finished(page: Page) -> None:
    expect(page.locator("[data-role=columns]")).to_have_attribute("aria-busy", "false")


def test_columns_fill_token_by_token_and_together(page: Page, site: Site):
    site.pace()
    page.goto(ADDRESS)
    for written in (1, 2, 3):
        site.step()
        for name in NAMES:
            expect(tokens(page, name)).to_have_count(written)
    site.step(3)
    finished(page)
    assert len(set(outputs(page))) == 3


def test_the_request_names_minus_zero_plus_from_one_seed(page: Page, site: Site):
    page.goto(ADDRESS)
    finished(page)
    asked = site.worker.steers[-1]
    assert asked.strengths is not None
    minus, zero, plus = asked.strengths
    assert minus < 0 == zero < plus == 2
    assert (asked.seed, asked.prompt, asked.max_new_tokens) == (3, "Once", 6)


def test_zero_is_the_same_text_in_every_column(page: Page):
    page.goto(ADDRESS.replace("strength=2", "strength=0"))
    finished(page)
    assert len(set(outputs(page))) == 1


def test_the_slider_moves_by_keyboard_stops_the_stream_and_starts_another(page: Page, site: Site):
    site.pace()
    page.goto(ADDRESS)
    site.step()
    expect(tokens(page, "plus")).to_have_count(1)
    page.locator("#slider").focus()
    page.keyboard.press("ArrowRight")
    expect(page).not_to_have_url(re.compile("strength=2&"))
    page.wait_for_function(
        "() => document.querySelector('[data-role=columns]').ariaBusy === 'true'"
    )
    site.step(6)
    finished(page)
    assert len(site.worker.steers) == 2
    assert site.worker.streams[0].closed
    assert site.worker.steers[1].strengths[2] > 2


def test_a_link_reproduces_what_was_shown(page: Page):
    page.goto(ADDRESS)
    page.locator("#slider").focus()
    page.keyboard.press("ArrowLeft")
    expect(page).not_to_have_url(re.compile("strength=2&"))
    finished(page)
    before = outputs(page)
    page.goto(page.url)
    finished(page)
    assert outputs(page) == before


def test_stop_ends_the_work_behind_the_page(page: Page, site: Site):
    site.pace()
    page.goto(ADDRESS)
    site.step()
    expect(tokens(page, "zero")).to_have_count(1)
    page.locator("[data-role=stop]").click()
    expect(page.locator(".column-zero [data-role=note]")).to_have_text("Stopped.")
    site.step()
    assert eventually(page, lambda: site.worker.streams[0].closed)


def test_a_closed_tab_ends_the_work_behind_it(page: Page, site: Site):
    site.pace()
    page.goto(ADDRESS)
    site.step()
    expect(tokens(page, "zero")).to_have_count(1)
    page.goto("/docs")
    assert eventually(page, lambda: site.worker.streams[0].closed)
    assert site.worker.streams[0].sent < 6


def test_a_missing_pole_has_no_row_and_no_side_of_the_slider(page: Page, site: Site):
    page.goto("/steer?sae=1&feature=1&tokens=4")
    finished(page)
    assert len(site.worker.steers[-1].strengths) == 2
    assert page.locator("#slider").get_attribute("min") == "0"
    expect(page.locator(".column-minus")).to_have_class(re.compile("missing"))


def test_an_error_of_the_worker_is_a_sentence_in_the_columns(page: Page, site: Site, watched):
    from server.web.worker_client import WorkerUnavailable

    site.worker.error = WorkerUnavailable("The worker is training.")
    page.goto(ADDRESS)
    expect(page.locator(".column-zero [data-role=note]")).to_have_text("The worker is training.")
    watched.problems.clear()  # Chromium reports the 503 itself


def test_generated_markup_is_text(page: Page):
    page.goto(ADDRESS.replace("tokens=6", "tokens=12"))
    finished(page)
    assert "<b>happy</b>" in outputs(page)[1]
    assert page.locator("[data-role=output] b").count() == 0


def eventually(page: Page, holds, tries: int = 100) -> bool:
    """Whether something becomes true while the browser goes on."""
    for _ in range(tries):
        if holds():
            return True
        page.wait_for_timeout(50)
    return False
