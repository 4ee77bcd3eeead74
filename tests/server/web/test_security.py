from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from server.settings import Settings
from server.web.app import create_app
from tests.builders import World
from tests.server.web.fake_worker import FakeWorker

PAGES = ("/", "/sae/1", "/sae/1/feature/0", "/prompt", "/steer", "/docs", "/nothing", "/saes.json")
PROMPT = {"sae": 1, "text": "x"}


@pytest.fixture
def locked(settings: Settings, sqlite_world: World) -> Iterator[TestClient]:
    """A server that asks for a token."""
    app = create_app(replace(settings, token="secret"), FakeWorker())
    with TestClient(app, base_url="http://127.0.0.1", follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_forbids_what_no_page_needs(client: TestClient, path: str):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_only_the_map_allows_what_plotly_needs_and_no_inline_script(client: TestClient):
    policy = client.get("/sae/1/map").headers["content-security-policy"]
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "script-src 'self' 'unsafe-eval'" in policy


@pytest.mark.parametrize("path", [*PAGES[:-1], "/sae/1/map"])
def test_no_page_has_inline_scripts_styles_or_handlers(client: TestClient, path: str):
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(client.get(path).text, "html.parser")
    scripts = [tag for tag in soup.select("script") if not tag.get("src")]
    assert all(tag.get("type") == "application/json" for tag in scripts)
    assert not soup.select("style, [style]")
    assert not [tag for tag in soup.select("*") if any(name.startswith("on") for name in tag.attrs)]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "[", "127.0.0.1.nip.example:80"]
)
def test_a_host_that_is_not_ours_is_refused(client: TestClient, host: str):
    assert client.get("/saes.json", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_machine_are_ours(client: TestClient, host: str):
    assert client.get("/saes.json", headers={"host": host}).status_code == 200


def test_the_configured_host_is_ours(settings: Settings, sqlite_world: World):
    app = create_app(replace(settings, host="dipole.lab", token="secret"), FakeWorker())
    client = TestClient(
        app, base_url="http://dipole.lab:8000", headers={"authorization": "Bearer secret"}
    )
    assert client.get("/saes.json").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1:9999"},
    ],
)
def test_a_write_from_another_site_is_refused(client: TestClient, headers: dict[str, str]):
    assert client.post("/api/prompt", json=PROMPT, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1"},
        {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1"},
    ],
)
def test_a_write_of_our_own_pages_or_of_a_script_passes(
    client: TestClient, headers: dict[str, str]
):
    assert client.post("/api/prompt", json=PROMPT, headers=headers).status_code == 200


def test_without_the_token_nothing_is_shown(locked: TestClient):
    response = locked.get("/")
    assert response.status_code == 401
    assert "tiny-abstopk" not in response.text
    assert locked.get("/saes.json").json().keys() == {"detail"}
    assert locked.post("/api/prompt", json=PROMPT).status_code == 401


def test_a_script_gives_the_token_as_a_bearer(locked: TestClient):
    assert locked.get("/saes.json", headers={"authorization": "Bearer secret"}).status_code == 200


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic secret", "Bearer sécret"])
def test_a_wrong_token_is_refused(locked: TestClient, header: str):
    assert locked.get("/saes.json", headers={"authorization": header.encode()}).status_code == 401


def test_a_browser_gives_the_token_once_and_keeps_a_cookie(locked: TestClient):
    response = locked.get("/sae/1?token=secret&sort=max")
    assert (response.status_code, response.headers["location"]) == (303, "/sae/1?sort=max")
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secret" not in cookie
    assert locked.get("/sae/1").status_code == 200


def test_a_wrong_token_in_the_address_sets_no_cookie(locked: TestClient):
    response = locked.get("/?token=wrong")
    assert response.status_code == 401
    assert "set-cookie" not in response.headers


def test_a_parameter_of_a_page_that_is_called_token_is_no_login(locked: TestClient):
    address = "/prompt.json?sae=1&text=x&token=0"
    assert locked.get(address).status_code == 401
    assert locked.get(address, headers={"authorization": "Bearer secret"}).status_code == 200
    locked.get("/?token=secret")
    assert locked.get(address).status_code == 200
    assert locked.get("/prompt?sae=1&text=x&token=0").status_code == 200


def test_the_token_never_leads_to_another_site(locked: TestClient):
    location = locked.get("//evil.example/?token=secret").headers.get("location", "/")
    assert not location.startswith("//")


def test_health_needs_no_token(locked: TestClient):
    assert locked.get("/healthz").status_code == 200


def test_a_body_that_is_too_large_is_refused(client: TestClient):
    response = client.post(
        "/api/prompt", content=b" " * 2_000_000, headers={"content-type": "application/json"}
    )
    assert response.status_code == 413
    assert isinstance(response.json()["detail"], str)


def test_files_outside_the_static_folder_are_not_served(client: TestClient):
    prefix = client.app.state.renderer.assets.prefix  # type: ignore[attr-defined]
    assert client.get(f"{prefix}/css/base.css").status_code == 200
    assert client.get(f"{prefix}/%2e%2e/__init__.py").status_code == 404
