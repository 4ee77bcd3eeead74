"""What the application is made of: no torch, nothing done at import, files that may be kept."""

import subprocess
import sys

from fastapi.testclient import TestClient

LOADED = """
import sys, server.web.app, server.web.pages.map, server.web.api.steer
from server.web.app import create_app
from server.settings import Settings
from pathlib import Path
create_app(Settings(data_dir=Path("."), database_url="sqlite:///x.db"))
print(sorted({"torch", "numpy", "plotly", "transformers"} & set(sys.modules)))
"""


def test_web_loads_no_torch_and_no_plotly():
    shown = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"


def test_static_files_may_be_kept_and_pages_may_not(client: TestClient):
    prefix = client.app.state.renderer.assets.prefix  # type: ignore[attr-defined]
    assert "immutable" in client.get(f"{prefix}/js/app.js").headers["cache-control"]
    assert client.get("/").headers["cache-control"] == "no-cache"


def test_modules_are_sent_as_javascript(client: TestClient):
    prefix = client.app.state.renderer.assets.prefix  # type: ignore[attr-defined]
    assert "javascript" in client.get(f"{prefix}/js/app.js").headers["content-type"]
