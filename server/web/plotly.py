"""Plotly's script, served from the installed Python package, so that no copy is kept here.

Knows where the package is and its version; imports it never, which would cost half a second.
"""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

router = APIRouter(include_in_schema=False)

FOR_EVER = "public, max-age=31536000, immutable"


def plotly_url() -> str:
    """The address of the installed version."""
    return f"/vendor/plotly-{version('plotly')}.min.js"


@router.get("/vendor/plotly-{release}.min.js")
def get_plotly(release: str) -> FileResponse:
    """The script; 404 for a version that is not the installed one."""
    if release != version("plotly"):
        raise HTTPException(404, f"The installed plotly is {version('plotly')}.")
    headers = {"cache-control": FOR_EVER}
    return FileResponse(plotly_script(), media_type="text/javascript", headers=headers)


def plotly_script() -> Path:
    """Where the installed package keeps it."""
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise HTTPException(500, "plotly is not installed: run pip install -e . on the server.")
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"
