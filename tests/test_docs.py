"""The documentation names what there is: every setting, command, flag, message field and file."""

import argparse
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from models.sae.config import SPARSIFIERS
from models.train import TrainConfig
from server import protocol
from server.cli import build_parser
from server.settings import VARIABLES, Settings

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")] if path.is_file()
)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands() -> dict[str, argparse.ArgumentParser]:
    """Commands that `dipole --help` lists."""
    for action in build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            listed = {choice.dest for choice in action._choices_actions}
            return {name: parser for name, parser in action.choices.items() if name in listed}
    raise AssertionError("the command line has no commands")


def flags() -> Iterator[tuple[str, str]]:
    for command, parser in commands().items():
        for action in parser._actions:
            for flag in action.option_strings:
                if flag not in ("-h", "--help"):
                    yield command, flag


def section_of(command: str) -> str:
    """The text under `## dipole COMMAND`, and what stands before the first command."""
    before, *sections = re.split(r"^## dipole ", read("docs/cli.md"), flags=re.MULTILINE)
    return before + next(text for text in sections if text.startswith(f"{command}\n"))


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda setting: setting.name)
def test_every_setting_is_documented_with_its_variable(setting) -> None:
    row = next(
        line
        for line in read("docs/configuration.md").splitlines()
        if line.startswith(f"| `{setting.name}` |")
    )

    assert f"`{VARIABLES[setting.name]}`" in row


@pytest.mark.parametrize("setting", ["host", "port"])
def test_documented_defaults_are_the_defaults(setting: str, tmp_path: Path) -> None:
    value = getattr(Settings.read({}, data_dir=tmp_path), setting)

    assert f"| `{value}` |" in read("docs/configuration.md")


def test_no_setting_is_documented_that_does_not_exist() -> None:
    documented = set(re.findall(r"\bDIPOLE_[A-Z_]+", read("docs/configuration.md")))

    assert documented - {"DIPOLE_REQUIRE_ALL", "DIPOLE_POSTGRES_BIN"} == set(VARIABLES.values())


@pytest.mark.parametrize(("command", "flag"), list(flags()))
def test_every_flag_is_documented_under_its_command(command: str, flag: str) -> None:
    assert re.search(rf"`{flag}\b", section_of(command))


def test_no_command_is_documented_that_does_not_exist() -> None:
    documented = re.findall(r"^## dipole (\w+)$", read("docs/cli.md"), flags=re.MULTILINE)

    assert documented == list(commands())


@pytest.mark.parametrize("message", ["PromptRequest", "SteerRequest", "Edit"])
def test_every_field_that_can_be_sent_is_documented(message: str) -> None:
    names = getattr(protocol, message).model_fields

    assert [name for name in names if f"`{name}`" not in read("docs/api.md")] == []


def test_every_documented_route_exists(settings: Settings) -> None:
    from server.web.app import create_app

    there = {
        f"{method.upper()} {re.sub(r'{[^}]*}', '{}', route)}"
        for route, methods in create_app(settings).openapi()["paths"].items()
        for method in methods
    }
    table = re.findall(r"^\| `((?:GET|POST) [^`]+)`", read("docs/api.md"), flags=re.MULTILINE)
    documented = {re.sub(r"{[^}]*}", "{}", route) for route in table}

    assert documented
    assert documented - there == set()


@pytest.mark.parametrize("kind", get_args(protocol.TrainableSparsifier))
def test_every_sparsifier_is_documented(kind: str) -> None:
    assert f"`{kind}`" in section_of("train")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http:", "https:", "mailto:"))]

    assert [link for link in local if not (path.parent / link).exists()] == []


def test_the_readme_s_commands_are_the_makefile_s() -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), flags=re.MULTILINE))

    assert {"demo", "test"} <= targets
    assert set(re.findall(r"\bmake ([a-z]+)\b", read("README.md"))) <= targets


def test_the_tree_of_the_readme_names_the_top_folders() -> None:
    tree = read("README.md")
    folders = ["server", "models", "frontend", "migrations", "tests", "docs"]

    assert [name for name in folders if f"\n{name}/" not in tree] == []


def test_the_environment_is_pinned_exactly_and_names_no_host() -> None:
    lines = [line for line in read("constraints.txt").splitlines() if not line.startswith("#")]

    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    assert "torch==2.13.0" in lines


def test_every_dependency_is_pinned() -> None:
    import tomllib

    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = [name for group in project["optional-dependencies"].values() for name in group]
    wanted = {
        re.split(r"[<>=\[]", name)[0].lower().replace("_", "-")
        for name in [*project["dependencies"], *extras]
    } - {"dipole"}
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in read("constraints.txt").split()
    }

    assert wanted - pinned == set()


@pytest.mark.parametrize("name", [*SPARSIFIERS, *(field.name for field in fields(TrainConfig))])
def test_every_sparsifier_and_every_piece_of_the_recipe_is_in_the_formulas(name: str) -> None:
    assert f"`{name}`" in read("docs/science.md")


def test_every_section_of_the_formulas_that_code_cites_is_there() -> None:
    files = [path for folder in ("models", "server") for path in (ROOT / folder).rglob("*.py")]
    cited = {
        section
        for path in files
        for section in re.findall(r"science §([0-9]+)", path.read_text(encoding="utf-8"))
    }
    headings = re.findall(r"^## ([0-9]+)\. ", read("docs/science.md"), re.MULTILINE)
    assert cited
    assert cited <= set(headings)


def test_the_readme_shows_only_screenshots_that_are_there_and_the_script_takes():
    shown = set(re.findall(r"docs/screenshots/([\w-]+)\.png", (ROOT / "README.md").read_text()))
    there = {path.stem for path in (ROOT / "docs" / "screenshots").glob("*.png")}
    script = (ROOT / "docs" / "screenshots.py").read_text()
    pages = re.findall(r'^    "(\w+)": "/', script, re.MULTILINE)
    assert shown == there == {f"{page}-{view}" for page in pages for view in ("light", "dark")}
