"""A template uses exactly the fields of its page's context, and its partials only what they say."""

from dataclasses import fields
from pathlib import Path

import pytest
from jinja2 import meta

from frontend import TEMPLATES
from server.web import contexts, contexts_reading, contexts_runs, contexts_steer
from server.web.render import Renderer

PAGES = {
    "library.html": contexts.LibraryPage,
    "sae.html": contexts.SaePage,
    "feature.html": contexts.FeaturePage,
    "compare.html": contexts_reading.ComparePage,
    "concept.html": contexts_reading.ConceptPage,
    "contrast.html": contexts_reading.ContrastPage,
    "embed.html": contexts_reading.EmbedPage,
    "prompt.html": contexts_reading.PromptPage,
    "list.html": contexts_reading.ListPage,
    "map.html": contexts.MapPage,
    "train.html": contexts_runs.TrainPage,
    "import.html": contexts_runs.ImportPage,
    "axis.html": contexts_runs.AxisPage,
    "run.html": contexts_runs.RunPage,
    "runs.html": contexts_runs.RunsPage,
    "steer.html": contexts_steer.SteerPage,
    "docs.html": contexts.DocsPage,
    "error.html": contexts.ErrorPage,
}
FRAME = {"base", "asset"}


def names_used(renderer: Renderer, template: str) -> set[str]:
    """Free names of a template and of what it includes."""
    source = (TEMPLATES / template).read_text(encoding="utf-8")
    tree = renderer.environment.parse(source)
    used = set(meta.find_undeclared_variables(tree))
    for included in meta.find_referenced_templates(tree):
        if included and included != "base.html":
            used |= names_used(renderer, included)
    return used


@pytest.mark.parametrize("template", PAGES)
def test_every_field_of_a_context_is_used_by_its_template(template: str):
    context = {field.name for field in fields(PAGES[template])}
    assert context <= names_used(Renderer(), template)


@pytest.mark.parametrize("template", PAGES)
def test_a_page_names_nothing_its_context_lacks(template: str):
    renderer = Renderer()
    source = (TEMPLATES / template).read_text(encoding="utf-8")
    used = meta.find_undeclared_variables(renderer.environment.parse(source)) - FRAME
    assert used <= {field.name for field in fields(PAGES[template])}


def test_every_page_template_has_a_context():
    pages = {path.name for path in Path(TEMPLATES).glob("*.html") if not path.name.startswith("_")}
    assert pages - {"base.html"} == set(PAGES)


@pytest.mark.parametrize("context", PAGES.values())
def test_contexts_are_frozen_and_say_what_they_are(context: type):
    assert context.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert context.__doc__
