"""The foreign formats: which one a folder is in, where in a run its SAE lies, reading and writing.

Decides by the settings file alone, so that a hub's weights need not be fetched to know. Knows no
hub and no language model.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from models.artifact import load_json
from models.sae.autoencoder import SparseAutoencoder
from models.sae.checkpoint import load_sae, read_about, save_sae
from models.sae.foreign import dictionary_learning, saelens, sparsify
from models.sae.foreign.plain import PlainSAE, from_native, to_native
from models.sae.foreign.site import Site
from models.sae.foreign.split import split_poles

DEEPEST = 4
"""Folders below the one given in which a run's SAEs are looked for."""
DIPOLE = "dipole"


class Format(NamedTuple):
    """One library's layout; `weights` are the files that hold an SAE beside its settings."""

    name: str
    settings: str
    weights: tuple[str, ...]
    recognises: Callable[[Mapping[str, Any]], bool]
    find_place: Callable[[Mapping[str, Any], str], Site]
    read: Callable[[Path], PlainSAE]
    write: Callable[[Path, PlainSAE], None]


class Found(NamedTuple):
    """An SAE's folder: its format, and where in the model it reads."""

    folder: Path
    format: str
    site: Site

    @property
    def files(self) -> list[str]:
        """The names of the files that make it up."""
        if self.format == DIPOLE:
            return ["cfg.json", "sae.safetensors"]
        known = FORMATS[self.format]
        return [known.settings, *known.weights]


FORMATS: dict[str, Format] = {
    "saelens": Format(
        "saelens",
        saelens.SETTINGS,
        (saelens.WEIGHTS, saelens.SCALER),
        saelens.recognises,
        saelens.find_place,
        saelens.read,
        saelens.write,
    ),
    "sparsify": Format(
        "sparsify",
        sparsify.SETTINGS,
        (sparsify.WEIGHTS,),
        sparsify.recognises,
        sparsify.find_place,
        sparsify.read,
        sparsify.write,
    ),
    "dictionary_learning": Format(
        "dictionary_learning",
        dictionary_learning.SETTINGS,
        (dictionary_learning.WEIGHTS,),
        dictionary_learning.recognises,
        dictionary_learning.find_place,
        dictionary_learning.read,
        dictionary_learning.write,
    ),
}
NAMES_LAYER = ("saelens", "dictionary_learning")
SETTINGS_FILES = ("cfg.json", "config.json")


def detect(folder: Path) -> Found | None:
    """What a folder itself holds, by its settings file; None when that is no SAE's."""
    for name in SETTINGS_FILES:
        if not (folder / name).is_file():
            continue
        settings = load_json(folder / name)
        if not isinstance(settings, dict):
            continue
        if str(settings.get("format", "")).startswith("dipole-sae"):
            return Found(folder, DIPOLE, _own_site(settings.get("about")))
        with _damage_told(folder):
            for known in FORMATS.values():
                if known.settings == name and known.recognises(settings):
                    return Found(folder, known.name, known.find_place(settings, folder.name))
    return None


def find_sae(root: Path, layer: int | None) -> Found:
    """The one SAE of a folder, or of the subfolders of a run, that reads this layer.

    Raises ValueError when there is none, or several to choose from.
    """
    at_root = detect(root)
    if at_root is not None:
        return at_root
    folders = {
        path.parent
        for name in SETTINGS_FILES
        for depth in range(1, DEEPEST + 1)
        for path in root.glob("/".join(["*"] * depth + [name]))
    }
    found = [one for folder in sorted(folders) if (one := detect(folder)) is not None]
    if not found:
        raise ValueError(
            f"no SAE in {root}: it needs cfg.json with sae_weights.safetensors (SAELens) or "
            "sae.safetensors (sparsify, Dipole), or config.json with ae.pt (dictionary_learning)"
        )
    fitting = [one for one in found if layer is None or one.site.layer == layer]
    if len(fitting) == 1 or len(found) == 1:
        return (fitting or found)[0]  # `Site.settle` complains of the wrong layer
    listed = ", ".join(str(one.folder.relative_to(root)) for one in (fitting or found)[:6])
    count = f"{len(fitting) or 'none'} of {len(found)} SAEs"
    wanted = "could be meant" if layer is None else f"read the stream after block {layer}"
    raise ValueError(f"{count} in {root} {wanted}: name the folder of one, such as {listed}")


def read_foreign(found: Found) -> tuple[SparseAutoencoder, dict[str, Any]]:
    """The SAE in our form, and what its file says of itself. Raises ValueError, in a sentence."""
    if found.format == DIPOLE:
        return load_sae(found.folder), read_about(found.folder)
    with _damage_told(found.folder):
        plain = FORMATS[found.format].read(found.folder)
        norms = plain.W_dec.norm(dim=-1)
        rows = {"shortest": float(norms.min()), "longest": float(norms.max())}
        return to_native(plain), {"rows": rows}


@contextmanager
def _damage_told(folder: Path) -> Iterator[None]:
    """What a file of unforeseen content makes of the reading, as a sentence."""
    try:
        yield
    except (TypeError, AttributeError, LookupError, RuntimeError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{folder} is damaged or of another layout ({reason}): copy it again"
        ) from error


def _own_site(about: object) -> Site:
    layer = about.get("layer") if isinstance(about, dict) else None
    is_known = isinstance(layer, int) and not isinstance(layer, bool)
    return Site(f"layer {layer}", layer) if is_known else Site(None, None)


def write_foreign(
    folder: Path, sae: SparseAutoencoder, format_: str, about: dict[str, Any], split: bool = False
) -> PlainSAE | None:
    """Write an SAE in a format of FORMATS, `split` or `dipole`; `about` names model and layer.

    `split` is SAELens' layout of the [D, −D] SAE. Raises ValueError when the format cannot hold
    the codes, and when the folder holds files already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not an empty folder: name another one, nothing is replaced")
    if format_ == DIPOLE:
        if split:
            raise ValueError(
                "Dipole's own format holds both poles: leave out --split, or use --format split"
            )
        save_sae(folder, sae, about)
        return None
    name = "saelens" if format_ == "split" else format_
    if name not in FORMATS:
        raise ValueError(f"no format {name!r}: choose one of {', '.join(EXPORTS)}")
    if name in NAMES_LAYER and about.get("layer") is None:
        raise ValueError(
            f"it is not known after which block this SAE reads, which {name} files name: "
            "export it as sparsify, or import it again with --layer N first"
        )
    plain = from_native(sae)
    if split or format_ == "split":
        plain = split_poles(plain)
    plain.about.update(model=about.get("model"), layer=about.get("layer"))
    FORMATS[name].write(folder, plain)
    return plain


EXPORTS = (*FORMATS, "split", DIPOLE)
