"""The static files hang together: what templates and modules name is there, and carries a digest."""

import re

import pytest

from frontend import STATIC, TEMPLATES, read_assets
from frontend.filters import LADDER

TEMPLATE_TEXT = "\n".join(path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.html"))
MODULES = sorted((STATIC / "js").glob("*.js"))
SHEETS = sorted((STATIC / "css").glob("*.css"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_every_import_of_a_module_is_a_file_beside_it(module):
    names = re.findall(
        r"""(?:from|import\()\s*["']\./([\w.]+)["']""", module.read_text(encoding="utf-8")
    )
    assert all((module.parent / name).is_file() for name in names)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_modules_build_no_html_from_strings(module):
    text = module.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


def test_every_module_a_template_asks_for_is_known():
    asked = set(re.findall(r'data-module="(\w+)"', TEMPLATE_TEXT))
    app = (STATIC / "js" / "app.js").read_text(encoding="utf-8")
    assert asked == set(re.findall(r"(\w+): \(\) => import", app))


def test_every_sheet_is_loaded():
    loaded = " ".join(re.findall(r"for sheet in \(([^)]*)\)", TEMPLATE_TEXT))
    alone = set(re.findall(r"asset\('css/(\w+)\.css'\)", TEMPLATE_TEXT))
    assert set(re.findall(r'"(\w+)"', loaded)) | alone == {sheet.stem for sheet in SHEETS}


def test_every_step_of_the_ladder_has_a_colour():
    text = (STATIC / "css" / "tokens.css").read_text(encoding="utf-8")
    steps = [f".{sign}-{step}" for sign in ("pos", "neg") for step in range(1, LADDER + 1)]
    assert [step for step in steps if not re.search(re.escape(step) + r"\b", text)] == []


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_colours_come_from_the_variables(sheet):
    if sheet.name == "base.css":
        pytest.skip("the variables are defined here")
    rules = re.sub(r"--[\w-]+:[^;]*;", "", sheet.read_text(encoding="utf-8"))
    assert set(re.findall(r"#[0-9a-f]{3,6}\b", rules)) <= {"#fff"}


def test_the_address_changes_with_any_file(tmp_path):
    (tmp_path / "a.css").write_text("a")
    before = read_assets(tmp_path)
    (tmp_path / "a.css").write_text("b")
    assert read_assets(tmp_path).version != before.version
    assert before.url("a.css") == f"/static/{before.version}/a.css"


@pytest.mark.parametrize("path", [*MODULES, *SHEETS], ids=lambda path: path.name)
def test_no_file_is_longer_than_three_hundred_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
