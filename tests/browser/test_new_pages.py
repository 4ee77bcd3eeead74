"""Walks through pairs, comparisons, concepts, lists and cards, by keyboard, as the JSON says it."""

import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.conftest import Site, Watched
from tests.browser.test_every_page import PAGES, SCREENS

Contexts = Callable[..., BrowserContext]


@pytest.fixture(params=SCREENS)
def walker(
    request: pytest.FixtureRequest, site: Site, watched: Watched, new_context: Contexts
):  # fmt: skip
    """A page in light, in dark and at 380 px; it fails its test if anything goes wrong on it."""
    page = new_context(base_url=site.url, **SCREENS[request.param]).new_page()
    watched.follow(page, site.url)
    yield page
    assert page.evaluate("window.violations ?? []") == []
    assert watched.problems == []


@pytest.fixture
def elsewhere() -> Iterator[Callable[[str], str]]:
    """Another origin: a server on a port of its own whose one page frames an address."""
    framed: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            frame = f'<iframe title="card" src="{framed[-1]}" width="340" height="600"></iframe>'
            self.wfile.write(f"<!doctype html>{frame}".encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()

    def address(url: str) -> str:
        framed.append(url)
        return f"http://127.0.0.1:{server.server_port}/"

    yield address
    server.shutdown()
    server.server_close()


def json_of(page: Page) -> dict:
    """What the page's own JSON link answers."""
    link = page.locator(".foot a", has_text="JSON").first.get_attribute("href")
    assert link is not None
    return page.context.request.get(
        page.url.split("/", 3)[0] + "//" + page.url.split("/")[2] + link
    ).json()


def tab_to(page: Page, target: Locator, most: int = 60) -> None:
    """Press Tab until the target has the focus."""
    for _ in range(most):
        if target.evaluate("(node) => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("the keyboard does not reach it")


def signs(rows: list[str]) -> list[float]:
    return [float(text.replace("−", "-")) for text in rows]


def test_a_minimal_pair_is_typed_and_read(walker: Page):
    walker.goto("/contrast?sae=1&mode=pair")
    tab_to(walker, walker.locator("#side-a"))
    walker.keyboard.type("He was happy")
    walker.keyboard.press("Tab")
    walker.keyboard.type("She was happy")
    rows = walker.locator("#contrast-result table").first.locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(walker).to_have_url(re.compile("a=He\\+was\\+happy&b=She\\+was\\+happy"))
    walker.reload()
    flipped = json_of(walker)["flipped"][0]
    shown = signs(rows.first.locator("td.num").all_text_contents())
    assert shown == pytest.approx([flipped["mean_a"], flipped["mean_b"]], abs=1e-3)


def test_back_and_forward_restore_a_pair(page: Page):
    page.goto(PAGES["contrast"])
    cells = page.locator("#contrast-result tbody td.num").first
    expect(cells).to_have_text("+2.000")
    page.locator("a", has_text="swap A and B").press("Enter")
    expect(cells).to_have_text("−2.000")
    page.go_back()
    expect(cells).to_have_text("+2.000")
    expect(page.locator("#side-a")).to_have_value("He was happy")
    page.go_forward()
    expect(cells).to_have_text("−2.000")
    expect(page.locator("#side-a")).to_have_value("She was happy")


def test_two_saes_are_compared_with_the_keyboard(walker: Page):
    walker.goto("/compare?a=1&b=2")
    cosine = walker.locator("#matched tbody td.num").first
    assert signs([cosine.inner_text()])[0] == json_of(walker)["matched"][0]["cosine"]
    swap = walker.locator("a", has_text="Swap A and B")
    tab_to(walker, swap)
    walker.keyboard.press("Enter")
    expect(walker).to_have_url(re.compile("a=2&b=1"))
    expect(walker.locator("select[name=a]")).to_have_value("2")
    walker.go_back()
    expect(walker.locator("select[name=a]")).to_have_value("1")


def test_a_concept_is_chosen_with_the_keyboard(walker: Page):
    walker.goto("/concept?sae=1")
    example = walker.locator(".empty a", has_text="temperature")
    tab_to(walker, example)
    walker.keyboard.press("Enter")
    figure = walker.locator(".concept-card .figure-large").first
    expect(figure).to_contain_text("0.52")
    assert json_of(walker)["single"]["auc"]["value"] == pytest.approx(0.52)
    walker.go_back()
    expect(example).to_be_visible()


def test_a_star_is_kept_in_this_browser_and_opens_as_a_list(walker: Page):
    walker.goto("/sae/1/feature/0")
    star = walker.locator(".star[data-item='1.0']")
    star.press("Enter")
    expect(star).to_have_attribute("aria-pressed", "true")
    assert walker.evaluate("localStorage.getItem('dipole-list')") == '[{"key":"1.0","note":""}]'
    walker.goto("/sae/1/feature/2")
    walker.locator(".star[data-item='1.2.neg']").press("Enter")
    walker.goto("/list")
    expect(walker).to_have_url(re.compile("item=1.0&item=1.2.neg"))
    rows = walker.locator("tr[data-item]")
    expect(rows).to_have_count(2)
    rows.nth(1).locator("[data-role=note]").press_sequentially("cold")
    expect(walker).to_have_url(re.compile("1.2.neg%7Ecold|1.2.neg~cold"))
    listed = json_of(walker)["features"]
    assert [(entry["feature"], entry["pole"], entry["note"]) for entry in listed] == [
        (0, None, ""),
        (2, "-", "cold"),
    ]
    walker.locator("[data-role=remove]").first.press("Enter")
    expect(rows).to_have_count(1)
    walker.reload()
    expect(rows).to_have_count(1)
    assert walker.evaluate("JSON.parse(localStorage.getItem('dipole-list')).length") == 1


def test_a_shared_list_leaves_the_readers_own_alone(page: Page):
    page.goto("/sae/1/feature/0")
    page.locator(".star[data-item='1.0']").press("Enter")
    page.goto("/list?item=1.4")
    expect(page.locator("[data-role=keep]")).to_be_visible()
    page.locator("[data-role=note]").fill("theirs")
    assert page.evaluate("localStorage.getItem('dipole-list')") == '[{"key":"1.0","note":""}]'


@pytest.mark.parametrize("screen", SCREENS)
def test_a_card_stands_on_a_page_of_another_origin(
    site: Site,
    new_context: Contexts,
    elsewhere: Callable[[str], str],
    screen: str,
):
    page = new_context(**SCREENS[screen]).new_page()
    address = f"{site.url}/embed/sae/1/feature/0"
    page.goto(elsewhere(address))
    card = page.frame_locator("iframe")
    expect(card.locator(".half-neg .tok.extreme").first).to_be_visible()
    frame = page.frames[1]
    assert frame.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    stored = page.context.request.get(f"{site.url}/sae/1/feature/0.json").json()["poles"]["-"]
    shown = card.locator(".half-neg .kwic > .tok.extreme").evaluate_all(
        "(nodes) => nodes.map((node) => node.dataset.value)"
    )
    assert signs(shown) == pytest.approx(
        [context["value"] for context in stored["contexts"][: len(shown)]], abs=0.006
    )
    assert frame.evaluate("window.violations") == []


def test_a_screen_reader_hears_the_sign_of_every_token(page: Page):
    page.goto("/sae/1/feature/0")
    spoken = page.locator(".half-neg .tok[data-value^='−'] .sr").all_text_contents()
    assert spoken
    assert all(re.fullmatch(r" \(minus [\d.]+\) ", text) for text in spoken)
    tree = page.locator(".half-neg ol[data-by=extreme] > li").first.aria_snapshot()
    assert "minus" in tree


def test_a_grey_picture_still_tells_the_signs_apart(page: Page):
    """The darkest row of a token's picture, in grey, is its upper edge above zero, lower below."""
    page.goto("/sae/1/feature/0")
    page.evaluate("document.documentElement.style.filter = 'grayscale(1)'")
    edges = {}
    for side in ("neg", "pos"):
        token = page.locator(f".half-{side} .kwic > .tok.extreme").first
        token.evaluate(
            "(node) => { node.style.color = 'transparent'; node.scrollIntoView({ block: 'center' }); }"
        )
        edges[side] = page.evaluate(ROWS, list(token.screenshot()))
    assert edges["pos"]["top"] < edges["pos"]["bottom"]
    assert edges["neg"]["bottom"] < edges["neg"]["top"]


ROWS = """async (bytes) => {
  const image = await createImageBitmap(new Blob([new Uint8Array(bytes)], { type: "image/png" }));
  const canvas = new OffscreenCanvas(image.width, image.height);
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const middle = Math.floor(image.width / 2);
  const at = (y) => pen.getImageData(middle, y, 1, 1).data[0];
  const half = Math.floor(image.height / 2);
  const rows = [...Array(image.height).keys()];
  return {
    top: Math.min(...rows.filter((y) => y < half - 2).map(at)),
    bottom: Math.min(...rows.filter((y) => y > half + 2).map(at)),
  };
}"""
