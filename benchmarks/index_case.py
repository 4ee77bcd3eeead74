"""A random model, a random SAE and windows of the demo's stories, as files both sides can read."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

import models.demo
from models.corpus import make_windows, read_documents
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from models.sae.checkpoint import save_sae

DEMO = Path(models.demo.__file__).parent
LAYERS, D_IN, K, CONTEXT = 6, 128, 16, 128
LAYER = LAYERS - 1


def write_case(place: Path, sparsifier: str, width: int, tokens: int) -> Path:
    """The folder of a case: `lm/`, `tokens.npy` [windows, CONTEXT], and the SAE, ours and plain."""
    folder = place / f"{sparsifier}-{width}"
    if folder.exists():
        return folder
    lm, windows = _model_and_windows(place, tokens)
    residual = lm.residual(torch.from_numpy(windows[:16].astype(np.int64)), LAYER)[:, 1:]
    scale = float((D_IN / residual.square().sum(-1).mean()).sqrt())
    sae = SparseAutoencoder(SAEConfig(D_IN, width, sparsifier, K, input_scale=scale))  # type: ignore[arg-type]
    sae.initialise(torch.Generator().manual_seed(0))
    save_sae(folder / "sae", sae, {"layer": LAYER})
    plain = {name: tensor.detach() for name, tensor in sae.state_dict().items()}
    plain["W_enc"] = plain["W_enc"] * scale  # the same code from activations as they are
    save_file({name: tensor.contiguous() for name, tensor in plain.items()}, folder / "plain")
    return folder


def load_model(place: Path) -> LanguageModel:
    """The random language model of all cases."""
    return LanguageModel.load(str(place / "lm"))


def _model_and_windows(place: Path, tokens: int) -> tuple[LanguageModel, np.ndarray]:
    if not (place / "lm").exists():
        tokenizer = AutoTokenizer.from_pretrained(DEMO / "lm")
        torch.manual_seed(0)
        config = GPT2Config(
            n_embd=D_IN,
            n_layer=LAYERS,
            n_head=4,
            n_positions=CONTEXT,
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        GPT2LMHeadModel(config).save_pretrained(place / "lm")
        tokenizer.save_pretrained(place / "lm")
    lm = load_model(place)
    if not (place / "tokens.npy").exists():
        # SAEDashboard takes windows of one length only: the stories run on from one to the next, and
        # for a longer text over again, then cut elsewhere.
        found = make_windows(lm, read_documents(DEMO / "stories.txt.gz"), CONTEXT)
        text = np.concatenate([window.tokens[1:] for window in found])
        count, room = tokens // CONTEXT, CONTEXT - 1
        text = np.tile(text, -(-count * room // len(text)))
        rows = text[: count * room].reshape(count, room)
        np.save(place / "tokens.npy", np.insert(rows, 0, lm.bos_token_id or 0, axis=1))
    return lm, np.load(place / "tokens.npy")
