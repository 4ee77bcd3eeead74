"""Turns a page's context into HTML.

Knows Jinja, the filters and the frame around every page; nothing of what a page shows. A template
may use the fields of its context, `base`, `asset` and the filters, and nothing else.
"""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from frontend import TEMPLATES, Assets, read_assets
from frontend.filters import FILTERS
from frontend.token_strip import token_strip

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

THEMES = ("light", "dark")


@dataclass(frozen=True)
class Base:
    """The frame: the chosen theme, the entry of the menu, the SAE the jump box starts from."""

    theme: str | None
    active: str
    sae_id: int | None


class Html(HTMLResponse):
    """HTML that can hold what UTF-8 cannot: a lone surrogate becomes a character reference."""

    def render(self, content: Any) -> bytes:
        """Encode."""
        return str(content).encode("utf-8", "xmlcharrefreplace")


class Renderer:
    """One template environment and one release of the static files, made once per application."""

    def __init__(self) -> None:
        self.assets: Assets = read_assets()
        self.environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,  # else every partial of every page is looked up on disk
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.filters.update(FILTERS, token_strip=token_strip)
        self.environment.globals["asset"] = self.assets.url

    def page(
        self,
        request: Request,
        template: str,
        context: "DataclassInstance",
        *,
        active: str = "",
        sae_id: int | None = None,
        status: int = 200,
    ) -> HTMLResponse:
        """The page `template` of this context."""
        theme = request.cookies.get("theme")
        base = Base(theme if theme in THEMES else None, active, sae_id)
        values = {field.name: getattr(context, field.name) for field in fields(context)}
        html = self.environment.get_template(template).render(base=base, **values)
        return Html(html, status_code=status, headers={"cache-control": "no-cache"})
