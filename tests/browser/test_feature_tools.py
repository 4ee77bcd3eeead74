"""The feature page's tools: the test box and its address, the line in the histogram, what is taken away."""

import re

from playwright.sync_api import Page, expect

TEXT = "one two three four five"


def signed(text: str) -> float:
    return float(text.replace("−", "-"))


def test_the_text_of_the_test_box_is_in_the_address_and_survives_flip_and_paging(page: Page):
    page.goto("/sae/1/feature/2")
    result = page.locator("[data-role=result] .tok[data-value]")
    page.locator("#test-text").fill(TEXT)
    expect(page).to_have_url(re.compile(r"text=one\+two"))
    page.reload()
    expect(result.first).to_be_visible()
    expect(page.locator("#test-text")).to_have_value(TEXT)
    page.locator("[data-key=p]").press("Enter")
    expect(page).to_have_url(re.compile(r"pole=-&text=one\+two"))
    expect(result.first).to_be_visible()
    page.locator("[data-key=ArrowRight]").press("Enter")
    expect(page).to_have_url(re.compile(r"/feature/3\?.*text=one\+two"))
    page.go_back()
    expect(page.locator("#test-text")).to_have_value(TEXT)


def test_a_token_draws_its_value_into_the_histogram_on_its_own_side(page: Page):
    page.goto("/sae/1/feature/0")
    line = page.locator("[data-reach] [data-role=here]")
    expect(line).to_have_attribute("visibility", "hidden")
    reach = float(page.locator("[data-reach]").get_attribute("data-reach") or "")
    for side in ("neg", "pos"):
        token = page.locator(f".half-{side} ol:not([hidden]) .kwic .tok.extreme").first
        token.hover()
        expect(line).to_have_attribute("visibility", "visible")
        place = float(re.findall(r"M([\d.]+) ", line.get_attribute("d") or "")[0])
        value = signed(token.get_attribute("data-value") or "")
        assert abs(place - 500 * (1 + value / reach)) < 1
    page.locator("h1").hover()
    expect(line).to_have_attribute("visibility", "hidden")


def test_a_context_is_read_in_the_test_box(page: Page):
    page.goto("/sae/1/feature/0")
    page.locator("summary.kwic").first.press("Enter")
    page.locator("details[open] [data-role=try]").press("Enter")
    page.wait_for_function("() => document.querySelector('#test-text').value")
    stored = page.context.request.get("/sae/1/feature/0.json").json()["poles"]["-"]["contexts"][0]
    text = "".join(stored["tokens"][1:]).strip().replace("\ud800", "\ufffd")
    expect(page.locator("#test-text")).to_have_value(text)
    expect(page.locator("#test-text")).to_be_focused()
    expect(page.locator("[data-role=result] .tok").first).to_be_visible()


def test_the_code_for_a_card_leads_to_the_card_of_this_view(page: Page):
    page.goto("/sae/1/feature/0?pole=-")
    code = page.locator("#export ~ .halves pre").inner_text()
    address = re.findall(r'src="([^"]+)"', code)[0]
    assert address == f"{page.url.split('/sae')[0]}/embed/sae/1/feature/0?pole=-"
    page.goto(address)
    expect(page.locator("h1")).to_contain_text(re.compile(r"queen.*king"))
