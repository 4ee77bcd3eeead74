"""Screenshots of every page of a running demo, light and dark and at 380 px.

    dipole demo &            # let the run finish
    python docs/screenshots.py --url http://127.0.0.1:8000 --out docs/screenshots

Knows nothing of what is on the pages.
"""

import argparse
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PAGES = {
    "library": "/",
    "sae": "/sae/1?sort=consistency&order=desc",
    "feature": "/sae/1/feature/183?by=mean",
    "axis": "/sae/4/feature/0",
    "prompt": "/prompt?sae=1&text=The+little+girl+was+sad,+but+her+mom+hugged+her.&rank=abs",
    "contrast": "/contrast?sae=1&mode=pair&a=He+was+a+good+boy.&b=She+was+a+good+girl.",
    "compare": "/compare?a=1&b=2",
    "cards": "/list?title=An+axis+and+its+nearest+pieces&item=2.141&item=1.141&item=2.122&view=cards",
    "concept": "/concept?sae=1&contrast=gender",
    "list": "/list?title=Axes&item=1.183&item=1.24.neg~one+pole&item=4.0",
    "embed": "/embed/sae/1/feature/183?contexts=3",
    "map": "/sae/1/map?colour=balance",
    "train": "/train",
    "docs": "/docs",
    "steer": "/steer?sae=4&feature=0&prompt=Once+upon+a+time+there+was+a&seed=5&tokens=48&strength=12",
}
PATIENCE = 300_000
"""Milliseconds: a concept is read and steered before its page is there."""
VIEWS = {"light": ("light", 1280, 900), "dark": ("dark", 1280, 900), "phone": ("light", 380, 800)}


def main() -> None:
    """Take them all, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    parser.add_argument("--pages", nargs="+", default=list(PAGES), choices=PAGES)
    parser.add_argument("--views", nargs="+", default=["light", "dark"], choices=VIEWS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for view in options.views:
            scheme, width, height = VIEWS[view]
            size = {"width": width, "height": height}
            page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
            page.set_default_timeout(PATIENCE)
            for name in options.pages:
                page.goto(options.url + PAGES[name])
                settle(page, name)
                page.screenshot(
                    path=options.out / f"{name}-{view}.png", full_page=name == "library"
                )
        browser.close()


def settle(page: Page, name: str) -> None:
    """Wait until what moves on the page has stopped."""
    page.wait_for_load_state("load")
    if name == "steer":
        page.wait_for_selector("[data-role=columns][aria-busy=true]")
        page.wait_for_selector("[data-role=columns][aria-busy=false]")
    if name == "map":
        page.wait_for_selector(".js-plotly-plot")
        page.wait_for_timeout(1_500)


if __name__ == "__main__":
    main()
