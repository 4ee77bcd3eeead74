"""A shelf for steering without a database: a model, and SAEs by their number."""

from types import SimpleNamespace
from typing import cast

from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from models.sae.checkpoint import load_sae
from server.worker.library import DEMO_MODEL, DEMO_SAES
from server.worker.shelf import Shelf

DEMO_LAYER = 4


def shelf_of(lm: LanguageModel, saes: dict[int, SparseAutoencoder], layer: int) -> Shelf:
    """Answers like a `Shelf`; every SAE reads the same layer of the same model."""

    def sae(key: int | str) -> tuple[SimpleNamespace, SparseAutoencoder]:
        name = f"sae-{key}"
        record = SimpleNamespace(
            id=int(key), model_id=1, model=lm.name, layer=layer, name=name, sha256=name, flips=None
        )
        return record, saes[int(key)]

    return cast(Shelf, SimpleNamespace(sae=sae, model=lambda _key: lm))


def demo_shelf() -> Shelf:
    """The demo model with its AbsTopK SAE as number 1 and its axes as number 2."""
    lm = LanguageModel.load(str(DEMO_MODEL), name="demo")
    saes = {1: load_sae(DEMO_SAES / "abstopk"), 2: load_sae(DEMO_SAES / "axes")}
    return shelf_of(lm, saes, DEMO_LAYER)
