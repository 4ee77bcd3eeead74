"""Any causal LM of transformers: its residual stream, its tokens, its unembedding.

Finds the blocks by structure, not by name, so that GPT-NeoX, GPT-2, GPT-Neo, Llama, Gemma and Qwen
need no special case. Knows nothing of SAEs.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from models.norm import NormForm, read_norm
from models.vocabulary import token_strings

WEIGHT_FILES = [
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
]
DUPLICATES = ["original/*", "consolidated*", "*/*"]
TOKENIZER_FILES = [
    "tokenizer*",
    "special_tokens_map.json",
    "vocab*",
    "merges.txt",
    "added_tokens.json",
]


class _Stop(Exception):
    """Ends a forward pass once the wanted activations are read."""


class LanguageModel:
    """A causal LM in evaluation mode with its tokenizer.

    `layer` n means the residual stream after block n, blocks counted from 0.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.blocks, self.final_norm = find_blocks(model)
        text_config = model.config.get_text_config()
        self.d_in: int = text_config.hidden_size
        self.layers = len(self.blocks)
        self.family: str = model.config.model_type
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        self.context: int = getattr(text_config, "max_position_embeddings", None) or 1024

    @classmethod
    def load(cls, source: str, device: str = "cpu", name: str | None = None) -> "LanguageModel":
        """Load from a folder or a hub id, safetensors only, no remote code.

        Raises ValueError, saying what to do, when there is no such model.
        """
        path = resolve_source(source)
        logging.disable_progress_bar()  # of transformers: this layer prints nothing
        try:
            model = AutoModelForCausalLM.from_pretrained(
                path,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype="auto" if device != "cpu" else torch.float32,
            )
            tokenizer = AutoTokenizer.from_pretrained(
                path, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            first = (
                str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            )
            raise ValueError(
                f"{source} is not a causal language model that transformers can load ({first}): "
                "give a folder with config.json, safetensors and tokenizer, or a hub id"
            ) from error
        return cls(model.to(device), tokenizer, name or Path(source).name)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def bos_token_id(self) -> int | None:
        """What stands at position 0 of every window; None if the tokenizer has no BOS."""
        return self.tokenizer.bos_token_id

    @property
    def hook_name(self) -> str:
        """The module path of the blocks, such as `gpt_neox.layers`."""
        return next(name for name, module in self.model.named_modules() if module is self.blocks)

    @cached_property
    def vocabulary(self) -> list[str]:
        """The exact text of every token id; bytes that are no whole character as \\xNN."""
        return token_strings(self.tokenizer, self.model.config.get_text_config().vocab_size)

    @cached_property
    def _has_tuples(self) -> bool:
        """Whether the blocks return a tuple that starts with the stream, found by running the first."""
        found: list[bool] = []

        def read(_module: nn.Module, _inputs: object, output: object) -> None:
            found.append(isinstance(output, tuple))
            raise _Stop

        handle = self.blocks[0].register_forward_hook(read)
        try:
            with torch.inference_mode(), suppress(_Stop):
                self.model(input_ids=torch.tensor([[0]], device=self.device), use_cache=False)
        finally:
            handle.remove()
        return found[0]

    @cached_property
    def norm_form(self) -> NormForm:
        """What the final norm does. Raises ValueError where it is neither LayerNorm nor RMS norm."""
        return read_norm(self.final_norm, self.d_in, self.model.dtype, self.device)

    def check_layer(self, layer: int) -> None:
        """Raise ValueError unless the model has this block."""
        if not 0 <= layer < self.layers:
            raise ValueError(
                f"layer {layer} is out of range: {self.name} has layers 0 to {self.layers - 1}"
            )

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text behind one BOS (where the tokenizer has one), nothing else added."""
        ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids if self.bos_token_id is None else [self.bos_token_id, *ids]

    def residual(
        self, input_ids: Int[Tensor, "batch position"], layer: int
    ) -> Float[Tensor, "batch position d_in"]:
        """The residual stream after block `layer`; the blocks behind it are not run."""
        return self.residuals(input_ids, [layer])[layer]

    @torch.inference_mode()
    def residuals(
        self, input_ids: Int[Tensor, "batch position"], layers: Iterable[int]
    ) -> dict[int, Float[Tensor, "batch position d_in"]]:
        """The residual stream after several blocks from one pass; the blocks behind the last are not run.

        Right padding needs no mask: attention is causal.
        """
        wanted = sorted(set(layers))
        for layer in wanted:
            self.check_layer(layer)
        kept: dict[int, Tensor] = {}

        def read(layer: int, hidden: Tensor) -> Tensor:
            kept[layer] = hidden
            if layer == wanted[-1]:
                raise _Stop
            return hidden

        with self.intervene({layer: partial(read, layer) for layer in wanted}), suppress(_Stop):
            self.model(input_ids=input_ids.to(self.device), use_cache=False)
        return kept

    @contextmanager
    def intervene(self, edits: dict[int, Callable[[Tensor], Tensor]]) -> Iterator[None]:
        """While open, the output of each named block passes through its function."""
        handles = [
            self.blocks[layer].register_forward_hook(_hook(edit)) for layer, edit in edits.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def resume(self, layer: int, hidden: Float[Tensor, "batch position d_in"]) -> Iterator[None]:
        """While open, blocks 0 to `layer` are left out and the stream behind them is `hidden`.

        For many changes of the stream at one layer on the same tokens: only what follows is computed.
        """

        output = (hidden, None) if self._has_tuples else hidden

        def skip(*_inputs: object, **_named: object) -> object:
            return output

        skipped = self.blocks[: layer + 1]
        for block in skipped:
            block.forward = skip
        try:
            yield
        finally:
            for block in skipped:
                del block.forward

    @torch.inference_mode()
    def logit_effect(self, directions: Float[Tensor, "n d_in"]) -> Float[Tensor, "n vocabulary"]:
        """How each direction moves the logits along the direct path, the final norm's scale frozen at 1.

        Raises ValueError for a final norm of an unknown form.
        """
        directions = self.norm_form.direction(directions.to(self.device, self.model.dtype))
        unembedding = self.model.get_output_embeddings().weight
        return (directions * self.norm_form.gain.to(directions)) @ unembedding.T


def find_blocks(model: PreTrainedModel) -> tuple[nn.ModuleList, nn.Module]:
    """The transformer blocks and the norm behind them, found by count and place.

    Raises ValueError when the model has no such list.
    """
    count = model.config.get_text_config().num_hidden_layers
    for parent in model.modules():
        children = list(parent.named_children())
        for place, (_, child) in enumerate(children):
            if isinstance(child, nn.ModuleList) and len(child) == count and count > 0:
                norms = [
                    later
                    for name, later in children[place + 1 :]
                    if "norm" in name or name.startswith("ln")
                ]
                if norms:
                    return child, norms[0]
    raise ValueError(
        f"{type(model).__name__} has no list of {count} blocks with a final norm: it cannot be hooked"
    )


def resolve_source(source: str) -> str:
    """A local folder as it is; a hub id as the folder of its downloaded snapshot.

    Only safetensors, JSON and tokenizer files are fetched. Raises ValueError on anything else.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils import validate_repo_id

    path = Path(source)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ValueError(
                f"{source} holds no config.json: give the folder of a transformers model"
            )
        return str(path.resolve())
    try:
        validate_repo_id(source)
        return snapshot_download(
            source, allow_patterns=[*WEIGHT_FILES, *TOKENIZER_FILES], ignore_patterns=DUPLICATES
        )
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ValueError(
            f"no model {source!r}: it is neither a folder here nor a model that can be fetched from the hub; "
            "check the name, or use --model demo"
        ) from error


def _hook(edit: Callable[[Tensor], Tensor]) -> Callable[..., object]:
    def hook(_module: nn.Module, _inputs: object, output: object) -> object:
        # transformers 5 blocks return a tensor, earlier ones a tuple that starts with it.
        if isinstance(output, tuple):
            return (edit(output[0]), *output[1:])
        assert isinstance(output, Tensor)
        return edit(output)

    return hook
