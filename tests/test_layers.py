"""The arrows between packages point one way, files stay short, and nothing is unpickled."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import models

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("server", "models", "frontend", "migrations")
LONGEST_FILE = 300
GENERATED = ROOT / "migrations" / "versions"

TORCH = {"torch", "transformers", "tokenizers", "safetensors", "sklearn", "models"}
WEB = {"fastapi", "starlette", "uvicorn", "httpx", "jinja2"}
DATABASE = {"sqlalchemy", "alembic", "psycopg", "sqlite3"}
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}

FORBIDDEN: dict[str, set[str]] = {
    "models": {"server", "frontend", "migrations", "rich"} | WEB | DATABASE,
    "frontend": {"server", "models", "migrations"} | TORCH | DATABASE,
    "migrations": {"models", "frontend", "server.web", "server.worker"} | TORCH | WEB,
    "server/store": {"frontend", "server.web", "server.worker"} | TORCH | WEB,
    "server/web": {"server.worker"} | TORCH | {"sqlite3", "psycopg", "alembic"},
    "server/worker": {"frontend", "server.web"},
    "server/protocol": {"server.store", "server.web", "server.worker", "frontend", "migrations"}
    | TORCH
    | WEB
    | DATABASE,
    "server/settings.py": {"server", "frontend", "migrations"} | TORCH | WEB | DATABASE,
    "server/supervisor.py": {"server", "frontend", "migrations"} | TORCH | WEB | DATABASE,
    "server/worker/runs.py": TORCH | WEB,
    "server/worker/executor.py": TORCH | WEB,
}
"""What must not be imported where, not even inside a function."""


def python_files(*folders: str) -> list[Path]:
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.is_file()
    )


FILES = python_files(*PACKAGES, "tests", "benchmarks")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of everything imported, apart from `if TYPE_CHECKING:`."""
    skipped = {
        inner
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree_of(path)):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls_of(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("place", FORBIDDEN)
def test_a_layer_imports_nothing_it_must_not_know(place: str) -> None:
    files = [ROOT / place] if place.endswith(".py") else python_files(place)
    assert files

    wrong = [
        f"{named(path)} imports {name}"
        for path in files
        for name in imports_of(path)
        for forbidden in FORBIDDEN[place]
        if name == forbidden or name.startswith(f"{forbidden}.")
    ]

    assert wrong == []


def test_only_the_worker_joins_models_and_store() -> None:
    joining = {
        named(path)
        for path in python_files("server")
        if any(name.split(".")[0] == "models" for name in imports_of(path))
    }

    assert {name for name in joining if not name.startswith("server/worker/")} == set()


@pytest.mark.parametrize("module", ["server.cli", "server.web.app", "server.worker.executor"])
def test_what_must_start_quickly_loads_no_torch(module: str) -> None:
    script = f"import sys, {module}; print(sorted({{'torch', 'transformers'}} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert loaded.stdout.strip() == "[]"


def test_models_is_ours_and_not_another_distribution_s() -> None:
    assert models.__file__ is not None
    assert Path(models.__file__).resolve().is_relative_to(ROOT)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_nothing_is_unpickled(path: Path) -> None:
    pickles = {name for name in imports_of(path) if name.split(".")[0] in PICKLES}
    loads = [
        f"line {call.lineno}: torch.load without weights_only=True"
        for call in calls_of(path)
        if ast.unparse(call.func) == "torch.load"
        and not any(
            word.arg == "weights_only" and ast.unparse(word.value) == "True"
            for word in call.keywords
        )
    ]
    saves = [call.lineno for call in calls_of(path) if ast.unparse(call.func) == "torch.save"]
    if path.name == "dictionary_learning.py":
        saves = []  # that library reads its weights from a torch file and from nothing else

    assert (pickles, loads, saves) == (set(), [], [])


@pytest.mark.parametrize(
    "path", [path for path in python_files("models") if path.name != "__main__.py"], ids=named
)
def test_the_science_prints_nothing(path: Path) -> None:
    assert [call.lineno for call in calls_of(path) if ast.unparse(call.func) == "print"] == []


@pytest.mark.parametrize("path", [p for p in FILES if GENERATED not in p.parents], ids=named)
def test_a_file_is_no_longer_than_one_noun(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", python_files(*PACKAGES), ids=named)
def test_a_file_says_what_it_does(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))


def test_tests_have_no_package_files_and_no_name_hides_a_package() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []
    assert not (ROOT / "server" / "models.py").exists()


def test_every_package_is_in_the_wheel_and_none_is_ignored_by_git() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert wheel["packages"] == list(PACKAGES)
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert not {form for name in PACKAGES for form in (name, f"{name}/")} & set(ignored)
