"""Runs as their pages show them: what was asked, in words, what came of it, where it stands.

Knows runs and their results; no HTML. Files of the server are shown by their names alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from frontend.filters import fixed, number, percent
from server.store.run_points import PointRecord
from server.store.runs import RunRecord
from server.web.asking import KINDS, LINES
from server.web.contexts import Choice, Fact, Link
from server.web.contexts_runs import RunPage, RunRow
from server.web.run_curves import curves_of

_FIELDS = (
    "id", "kind", "state", "attempt", "done", "total", "message", "error", "result",
    "cancel_requested", "created_at", "started_at", "finished_at",
)  # fmt: skip
TITLES = {
    "train": "Training",
    "index": "Indexing",
    "map": "Mapping",
    "import": "Import",
    "axis": "Keeping an axis",
    "demo": "Making the demo",
}
ALWAYS = ("model", "layer", "sae", "saes", "width", "k", "tokens", "seed", "text", "source")
MEASURES = (
    ("nmse", "nMSE", "Share of the variance that is not reconstructed", fixed),
    ("loss_recovered", "Loss recovered", "Share of the model's loss that the SAE keeps", percent),
    ("l0", "L0", "Features a token uses", lambda value: fixed(value, 1)),
    (
        "auc",
        "Held-out AUC",
        "How often a text of the + list, not used for the axis, projects higher",
        fixed,
    ),
    ("cosine", "Cosine", "Between a state and its reconstruction", fixed),
)


def run_json(run: RunRecord) -> dict[str, Any]:
    """A run without what it was asked with, which may name files of the server."""
    return {name: getattr(run, name) for name in _FIELDS}


def asked_of(run: RunRecord) -> dict[str, Any]:
    """What was asked, without options left as they are; paths by their last part."""
    kind = KINDS.get(run.kind)
    usual = (
        {} if kind is None else {name: field.default for name, field in kind.model_fields.items()}
    )
    return {
        name: f"{len(value)} texts" if name in LINES else _shown(value)
        for name, value in run.payload.items()
        if value not in (None, [], "") and (name in ALWAYS or value != usual.get(name))
    }


def view_of(run: RunRecord, points: Sequence[PointRecord], ahead: int) -> RunPage:
    """The page of a run; `ahead`: runs that will be done before it."""
    result = run.result or {}
    return RunPage(
        run=run,
        title=_title(run),
        status=_status(run, ahead),
        percent="" if run.share is None else f"{100 * run.share:.0f} %",
        asked=[Fact(name.replace("_", " "), _text(value)) for name, value in asked_of(run).items()],
        facts=[
            Fact(title, show(result[name]), help)
            for name, title, help, show in MEASURES
            if isinstance(result.get(name), int | float)
        ],
        times=_times(run),
        results=_results(run),
        warning=str(result.get("warning", "")),
        curves=curves_of(points, max(run.total, points[-1].done) if points else run.total),
        can_resume=run.state in ("cancelled", "failed"),
        last_point=points[-1].done if points else None,
        json_url=f"/run/{run.id}.json",
    )


def row_of(run: RunRecord) -> RunRow:
    """One line of the list of runs."""
    asked = asked_of(run)
    return RunRow(
        url=f"/run/{run.id}",
        name=_title(run),
        what=", ".join(
            f"{name.replace('_', ' ')} {_text(asked[name])}" for name in ALWAYS if name in asked
        ),
        state=run.state,
        status="stopping" if run.is_active and run.cancel_requested else run.state,
        note=run.error or run.message,
        asked_at=run.created_at,
    )


def _title(run: RunRecord) -> str:
    return f"{TITLES.get(run.kind, run.kind.capitalize())} {run.id}"


def _status(run: RunRecord, ahead: int) -> str:
    if run.state == "queued":
        before = f"{ahead} run{'' if ahead == 1 else 's'} before it"
        return f"queued: {before if ahead else 'it is the next one'}"
    if run.state == "running":
        return "running: it stops at its next step" if run.cancel_requested else "running"
    return run.state


def _times(run: RunRecord) -> list[Choice]:
    moments = (
        ("asked", run.created_at),
        ("started", run.started_at),
        ("ended", run.finished_at),
    )
    return [Choice(moment, name) for name, moment in moments if moment]


def _results(run: RunRecord) -> list[Link]:
    """Where what came of it can be seen: SAEs of the library by name or number."""
    if run.state != "done":
        return []
    result = run.result or {}
    found = result.get("saes", [result] if "sae" in result else [])
    if not found:
        found = run.payload.get("saes", [])
    links = [
        link
        for entry in found
        if isinstance(entry, int | str | Mapping)
        for link in (_link(entry), *_feature_links(entry))
    ]
    return links or [Link("The library", "/")]


def _link(entry: int | str | Mapping[str, Any]) -> Link:
    if not isinstance(entry, Mapping):
        return Link(f"SAE {entry}", f"/sae/{quote(str(entry), safe='')}")
    return Link(str(entry.get("name") or f"SAE {entry['sae']}"), f"/sae/{entry['sae']}")


def _feature_links(entry: int | str | Mapping[str, Any]) -> list[Link]:
    """The way to browse and to steer by the one feature that a run has made."""
    if not isinstance(entry, Mapping) or "feature" not in entry:
        return []
    sae, feature = entry["sae"], entry["feature"]
    return [
        Link("its contexts", f"/sae/{sae}/feature/{feature}"),
        Link("steer by it", f"/steer?sae={sae}&feature={feature}"),
    ]


def _shown(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("/", "hf:/")):
        return f"…/{value.rstrip('/').rsplit('/', 1)[-1]}"
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return number(value, 6) if isinstance(value, int | float) else str(value)
