import pytest
from fastapi.testclient import TestClient

from tests.server.web.conftest import Page


def test_a_card_may_be_framed_and_other_pages_may_not(client: TestClient):
    card = client.get("/embed/sae/1/feature/0").headers["content-security-policy"]
    page = client.get("/sae/1/feature/0").headers["content-security-policy"]
    assert ("frame-ancestors *" in card, "frame-ancestors 'none'" in page) == (True, True)


def test_a_card_shows_both_poles_with_so_many_contexts(page: Page):
    halves = page("/embed/sae/1/feature/0?contexts=2").select(".half")
    assert [len(half.select(".contexts > li")) for half in halves] == [2, 2]


def test_a_card_links_to_the_whole_page_in_the_same_view(page: Page):
    link = page("/embed/sae/1/feature/0?pole=-").select_one("h1 a")
    assert link["href"] == "/sae/1/feature/0?pole=-"


def test_a_card_runs_no_script(page: Page):
    assert page("/embed/sae/1/feature/0").select("script") == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_card_takes_its_theme_from_the_address(page: Page, theme: str):
    assert page(f"/embed/sae/1/feature/0?theme={theme}").html["data-theme"] == theme


def test_an_unknown_feature_is_a_404(client: TestClient):
    assert client.get("/embed/sae/1/feature/999").status_code == 404
