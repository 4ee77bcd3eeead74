"""An SAE whose one feature is known, over a text made for it: what the tests of `dipole explain` read."""

from pathlib import Path

import torch

from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from models.sae.checkpoint import save_sae
from server.protocol import IndexRequest
from server.settings import Settings
from server.store.session import Database
from server.worker.library import enter_model, enter_sae
from server.worker.progress import TaskContext
from server.worker.tasks import TASKS
from tests.models.tiny import save_tiny_lm

WORDS = ("girl", "boy", "dog", "bird")
NOUNS = ("ball", "cat", "castle", "park", "song", "garden", "flowers", "water")
TEXT = "\n\n".join(
    f"The {noun} was red. She saw a {word} in the {other}."
    for word in WORDS
    for noun in NOUNS
    for other in NOUNS[:6]
)
LAYER = 0


def make_case(folder: Path, database: Database, url: str) -> TaskContext:
    """An SAE `words`: feature 0 is girl (+) against boy (−), 1 never fires; indexed."""
    model = save_tiny_lm(folder / "model")
    context = TaskContext(Settings.read({}, data_dir=folder / "data", database_url=url), database)
    lm = LanguageModel.load(str(model))
    home = context.settings.data_dir / "saes" / "words"
    save_sae(home, planted(lm), {"model": str(model), "layer": LAYER})
    enter_sae(
        database, lm, enter_model(database, lm, str(model)), home, "saes/words", "words", None
    )
    index(context, TEXT)
    return context


def index(context: TaskContext, text: str) -> None:
    """Index the SAE, over this text and no other."""
    file = context.settings.data_dir / "text.txt"
    file.write_text(text)
    for _ in TASKS["index"][1](context, IndexRequest(saes=["words"], text=str(file))):
        pass


def planted(lm: LanguageModel) -> SparseAutoencoder:
    """Directions from the last piece of each word, thresholded between the words and all else."""
    means = {}
    for word in WORDS:
        ids = torch.tensor([lm.tokenize(f"She saw a {word}")])
        means[word] = lm.residual(ids, LAYER)[0, -1]
    row = torch.nn.functional.normalize(means["girl"] - means["boy"], dim=0)
    half = float((means["girl"] - means["boy"]) @ row) / 2
    sae = SparseAutoencoder(SAEConfig(lm.d_in, 2, "soft_threshold", threshold=0.8 * half))
    with torch.no_grad():
        sae.W_dec.copy_(torch.stack([row, row]))
        sae.W_enc.copy_(torch.stack([row, torch.zeros_like(row)]).T)
        sae.b_enc.zero_()
        sae.b_dec.copy_((means["girl"] + means["boy"]) / 2)
    return sae.eval().requires_grad_(False)
