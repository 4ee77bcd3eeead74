"""The steering page: three columns written together, a slider that restarts them, a link that
reproduces them."""

import json
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
    assert eventually(page, lambda: len(site.worker.steers) == 2)
    assert eventually(page, lambda: site.worker.streams[0].closed)
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


def test_an_error_of_the_worker_is_said_once_and_seen(page: Page, site: Site, watched):
    from server.web.worker_client import WorkerUnavailable

    site.worker.error = WorkerUnavailable("The worker is training.")
    page.goto(ADDRESS)
    expect(page.locator(".notice.bad:visible")).to_have_text("The worker is training.")
    assert page.get_by_text("The worker is training.").count() == 1
    page.wait_for_load_state("networkidle")
    watched.problems.clear()  # Chromium reports the 503 itself


def test_generated_markup_is_text(page: Page):
    page.goto(ADDRESS.replace("tokens=6", "tokens=12"))
    finished(page)
    assert "<b>happy</b>" in outputs(page)[1]
    assert page.locator("[data-role=output] b").count() == 0


def test_the_slider_moves_by_mouse_to_either_pole(page: Page, site: Site):
    page.goto(ADDRESS)
    finished(page)
    box = page.locator("#slider").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    for share, sign in ((0.1, -1), (0.9, 1)):
        page.mouse.click(box["x"] + share * box["width"], middle)
        assert eventually(page, lambda sign=sign: chosen(page) == ("minus" if sign < 0 else "plus"))
        finished(page)
        assert float(page.locator("[name=strength]").input_value()) * sign > 0
    minus, zero, plus = site.worker.steers[-1].strengths or []
    assert minus < 0 == zero < plus


def test_the_strength_is_said_in_three_ways(page: Page, site: Site):
    poles = page.request.get(f"{site.url}/sae/1/feature/0.json").json()["poles"]
    page.goto(ADDRESS)
    finished(page)
    times = 2 / poles["+"]["quantile_999"]
    readout = page.locator("[data-role=readout]")
    expect(readout).to_contain_text(f"c = +2.00 · {times:.2f} × the + pole’s 99.9 % quantile")
    expect(readout).to_contain_text("‖c·d‖ = 0.50 × median ‖h‖")
    assert page.locator("#slider").get_attribute("aria-valuetext") == readout.inner_text()


def test_the_safe_band_is_drawn_and_each_edge_says_why(page: Page, site: Site):
    page.goto(ADDRESS)
    finished(page)
    note = page.locator("[data-role=band-note]")
    expect(note).to_contain_text("on this prompt and seed")
    expect(note).to_contain_text("it repeats itself (3-grams +50 %)")
    expect(note).to_contain_text("unlikely (loss +2.5 nats a token)")
    band, slider = (page.locator(place).bounding_box() for place in (".band", "#slider"))
    assert band is not None
    assert slider is not None
    assert slider["x"] < band["x"] < band["x"] + band["width"] < slider["x"] + slider["width"]
    page.locator("#slider").focus()
    page.keyboard.press("ArrowRight")
    finished(page)
    asked = [path for path, _ in site.worker.questions].count("/band")
    assert asked == 1, "the band does not depend on where the slider stands"


def test_a_line_of_the_sweep_moves_the_slider(page: Page, site: Site):
    page.goto(ADDRESS)
    finished(page)
    page.locator("[data-name=sweep] summary").click()
    lines = page.locator(".sweep button")
    expect(lines).to_have_count(9)
    expect(lines.last).to_contain_text("She was")
    assert len(site.worker.steers[-1].strengths or []) == 9
    lines.first.click()
    assert eventually(page, lambda: chosen(page) == "minus")
    finished(page)
    assert float(page.locator("#slider").input_value()) == -4
    expect(lines.first).to_have_attribute("aria-current", "true")
    expect(page).to_have_url(re.compile("open=sweep"))


def test_two_edits_share_the_columns_and_the_address(page: Page, site: Site):
    page.goto(f"{ADDRESS}&edit=1.4.add.-1")
    finished(page)
    asked = site.worker.steers[-1]
    assert [edit.feature for edit in asked.edits] == [0, 4]
    assert asked.rows is not None
    minus, zero, plus = asked.rows
    assert zero == [None, None]
    assert plus == [2, -1]
    assert minus[0] < 0 < minus[1]
    page.locator("#slider-2").focus()
    page.keyboard.press("ArrowLeft")
    expect(page).not_to_have_url(re.compile(r"edit=1\.4\.add\.-1(&|$)"))
    page.wait_for_timeout(300)
    finished(page)
    before = outputs(page)
    page.reload()
    finished(page)
    assert outputs(page) == before
    assert site.worker.steers[-1].rows == site.worker.steers[-2].rows
    page.locator("[data-role=remove]").click()
    page.wait_for_url(lambda url: "edit=" not in url)


def test_another_feature_is_added_by_its_number(page: Page):
    page.goto(ADDRESS)
    finished(page)
    page.get_by_text("Add another feature").click()
    page.locator("[data-role=another-feature]").fill("3")
    page.locator("[data-role=another-add]").click()
    page.wait_for_url(lambda url: "edit=1.3.add.0" in url)
    expect(page.locator("#slider-2")).to_be_visible()


def test_scaling_has_a_slider_of_its_own(page: Page, site: Site):
    page.goto(ADDRESS)
    finished(page)
    page.locator("[data-role=operation]").select_option("scale")
    page.wait_for_url(lambda url: "operation=scale" in url)
    finished(page)
    expect(page.locator("[data-role=readout]")).to_have_text("code × −1.00, poles swapped")
    assert site.worker.steers[-1].rows == [[-1], [None], [1]]


def test_the_parts_below_answer_when_they_are_opened(page: Page):
    page.goto(f"{ADDRESS}&open=shift.loop.words&wanted=girl&other=boy")
    finished(page)
    expect(page.locator(".shift tbody tr")).to_have_count(9)
    expect(page.locator(".shift tbody tr").last).to_contain_text("she")
    expect(page.locator("[data-role=oddness]")).to_contain_text("Oddness +0.75 at c = ±")
    expect(page.locator("[data-name=loop] .strip")).to_have_count(3)
    expect(page.locator("[data-name=loop] section").last).to_contain_text("written tokens +1.00")
    page.get_by_role("button", name="in effect while written").click()
    expect(page.locator("[data-name=loop] section").last).to_contain_text("written tokens +2.00")
    expect(page.locator(".cancellation tr")).to_have_count(7)
    expect(page.locator(".cancellation .total")).to_contain_text("+2.00")


def test_the_record_that_is_saved_holds_request_and_texts(page: Page):
    page.goto(f"{ADDRESS}&open=share")
    finished(page)
    with page.expect_download() as download:
        page.locator("[data-role=save]").click()
    record = json.loads(download.value.path().read_text())
    assert record["request"]["rows"][1] == [None]
    assert [text["column"] for text in record["texts"]] == ["-", "0", "+"]
    assert outputs(page)[2] == "Once" + record["texts"][2]["text"]
    assert record["saes"][0]["sha256"]


def test_a_full_line_is_a_sentence_and_run_tries_again(page: Page, site: Site, watched):
    from server.web.worker_client import WorkerUnavailable

    site.worker.error = WorkerUnavailable("32 requests wait already: try again shortly", 2, 429)
    page.goto(ADDRESS)
    expect(page.locator(".notice.bad:visible")).to_contain_text("32 requests wait")
    page.wait_for_load_state("networkidle")
    watched.problems.clear()  # Chromium reports the 429 itself
    site.worker.error = None
    page.locator("[data-role=start]").click()
    finished(page)
    expect(tokens(page, "plus")).to_have_count(6)
    expect(page.locator(".notice.bad")).to_be_hidden()


def test_on_a_telephone_nothing_sticks_out(new_context, site: Site):
    page = new_context(base_url=site.url, viewport={"width": 380, "height": 800}).new_page()
    page.goto(f"{ADDRESS}&edit=1.4.add.-1&open=sweep.shift.loop.words&wanted=girl&other=boy")
    finished(page)
    expect(page.locator(".cancellation tr")).to_have_count(7)
    assert page.evaluate("document.documentElement.scrollWidth") == 380


def chosen(page: Page) -> str:
    """The column that holds the sliders as they stand."""
    found = page.locator(".column.chosen").first.get_attribute("class") or ""
    return next(name for name in NAMES if f"column-{name}" in found)


def eventually(page: Page, holds, tries: int = 1_200) -> bool:
    """Whether something becomes true while the browser goes on."""
    for _ in range(tries):
        if holds():
            return True
        page.wait_for_timeout(50)
    return False
