"""`python -m models.demo`: the recipe of the demo's language model and corpus, as commands.

tokenizer   learn the byte-level BPE from text
pretrain    train the language model (resumable; CPU or GPU)
export      write the trained weights as a transformers model, half precision
measure     bits per character on held-out stories
sample      sample a corpus of stories from the model
saes        train the three SAEs and make the axes
"""

import argparse
import gzip
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from models.artifact import load_json, write_atomically
from models.corpus import make_windows, read_documents
from models.demo.dictionaries import Recipe, save_axes, save_dictionary, train_dictionaries
from models.demo.measure import measure_bits_per_character
from models.demo.pretrain import PretrainConfig, Pretraining
from models.demo.stories import sample_stories
from models.demo.text import encode_stories, pack, read_stories
from models.demo.tokenizer import END_OF_TEXT, load_tokenizer, train_tokenizer
from models.language_model import LanguageModel
from models.train import Checkpoints

HERE = Path(__file__).parent
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Commands = argparse._SubParsersAction


def learn_tokenizer(arguments: argparse.Namespace) -> None:
    """Learn and save the tokenizer."""
    texts = [story for path in arguments.text for story in read_stories(path)]
    train_tokenizer(texts, arguments.vocabulary).save_pretrained(arguments.out)
    print(f"tokenizer of {len(texts):,} stories written to {arguments.out}")


def pretrain(arguments: argparse.Namespace) -> None:
    """Train or go on training; a checkpoint every `--save-every` seconds."""
    tokenizer = load_tokenizer(arguments.tokenizer)
    stories = []
    for item in arguments.text:
        path, _, repeats = str(item).partition("*")
        stories += encode_stories(tokenizer, read_stories(Path(path))) * int(repeats or 1)
    config = PretrainConfig(steps=arguments.steps, compile=arguments.compile)
    windows = pack(stories, config.context, config.seed)
    print(f"{sum(map(len, stories)):,} tokens an epoch in {len(windows):,} windows", flush=True)
    training = Pretraining(config, arguments.out, arguments.device)
    saved = time.monotonic()
    for step in training.run(windows):
        if step.step % 20 == 0:
            print(
                f"step {step.step}/{config.steps} loss {step.loss:.3f} {step.rate:,.0f} tokens/s",
                flush=True,
            )
        if time.monotonic() - saved > arguments.save_every or step.step == config.steps:
            training.save()
            saved = time.monotonic()


def export(arguments: argparse.Namespace) -> None:
    """Write the checkpoint's model in float16 beside its tokenizer."""
    state = load_json(arguments.checkpoint / "checkpoint.json")
    training = Pretraining(PretrainConfig(**state["config"]), arguments.checkpoint)
    training.model.half().save_pretrained(arguments.out)
    load_tokenizer(arguments.tokenizer).save_pretrained(arguments.out)
    print(f"step {training.step} written to {arguments.out}")


def measure(arguments: argparse.Namespace) -> None:
    """Print bits per character on held-out stories."""
    model = AutoModelForCausalLM.from_pretrained(
        arguments.model, local_files_only=True, dtype=torch.float32
    )
    stories = read_stories(arguments.text)[: arguments.stories]
    result = measure_bits_per_character(
        model.to(arguments.device).eval(), load_tokenizer(arguments.model), stories
    )
    print(
        f"{result.bits_per_character:.4f} bits per character, {result.nats_per_token:.4f} nats per token "
        f"({result.tokens:,} tokens, {result.characters:,} characters, {len(stories)} stories)"
    )


def sample(arguments: argparse.Namespace) -> None:
    """Sample stories until there are tokens enough, and write them gzipped."""
    model = AutoModelForCausalLM.from_pretrained(
        arguments.model, local_files_only=True, dtype=torch.float32
    )
    tokenizer = load_tokenizer(arguments.model)
    stories: list[str] = []
    tokens, start = 0, time.monotonic()
    source = sample_stories(
        model.to(arguments.device).eval(),
        tokenizer,
        arguments.seed,
        arguments.temperature,
        arguments.top_p,
    )
    for text, count in source:
        stories.append(text)
        tokens += count
        if len(stories) % 100 == 0:
            rate = tokens / (time.monotonic() - start)
            print(f"{len(stories):,} stories, {tokens:,} tokens, {rate:,.0f} tokens/s", flush=True)
        if tokens >= arguments.tokens:
            break
    document = "".join(f"{story}\n{END_OF_TEXT}\n" for story in stories)
    # no time stamp in the header: the same stories make the same file
    write_atomically(
        arguments.out, lambda path: _write_bytes(path, gzip.compress(document.encode(), 9, mtime=0))
    )
    print(
        f"{len(stories):,} stories, {tokens:,} tokens, {arguments.out.stat().st_size:,} bytes in {arguments.out}"
    )


def saes(arguments: argparse.Namespace) -> None:
    """Train the demo's SAEs, measure them on the last tenth of the stories, make the axes."""
    lm = LanguageModel.load(str(arguments.model), arguments.device, "demo")
    windows = list(make_windows(lm, read_documents(arguments.text)))
    held_out = windows[-max(1, len(windows) // 10) :]
    training = windows[: -len(held_out)]
    recipe = Recipe(
        arguments.layer, arguments.width, arguments.k, arguments.tokens, seed=arguments.seed
    )
    command = "python -m models.demo " + " ".join(sys.argv[1:])
    update = None
    checkpoints = (
        Checkpoints(arguments.checkpoints, arguments.every) if arguments.checkpoints else None
    )
    for update in train_dictionaries(lm, recipe, training, checkpoints):
        first = update.steps[0]
        if first.step % 50 == 0:
            print(
                f"step {first.step}/{first.steps} nMSE",
                *(f"{s.nmse:.4f}" for s in update.steps),
                flush=True,
            )
    for sae in update.saes if update else []:
        folder = arguments.out / sae.config.sparsifier
        print(
            sae.config.sparsifier,
            save_dictionary(lm, recipe, sae, held_out, folder, command),
            flush=True,
        )
    for entry in save_axes(
        lm, recipe.layer, arguments.axes, training, arguments.out / "axes", command
    ):
        print("axis", entry)


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m models.demo", description="The demo model's recipe."
    )
    commands = parser.add_subparsers(required=True)
    for add in (add_tokenizer, add_pretrain, add_export, add_measure, add_sample, add_saes):
        add(commands)
    return parser.parse_args(argv)


def add_tokenizer(commands: Commands) -> None:
    """The options of `tokenizer`."""
    command = commands.add_parser("tokenizer", help="learn the byte-level BPE")
    command.add_argument("--text", type=Path, nargs="+", required=True)
    command.add_argument("--vocabulary", type=int, default=4096)
    command.add_argument("--out", type=Path, required=True)
    command.set_defaults(action=learn_tokenizer)


def add_pretrain(commands: Commands) -> None:
    """The options of `pretrain`."""
    command = commands.add_parser("pretrain", help="train the language model")
    command.add_argument("--text", nargs="+", required=True, help="FILE or FILE*REPEATS")
    command.add_argument("--tokenizer", type=Path, required=True)
    command.add_argument("--steps", type=int, default=PretrainConfig.steps)
    command.add_argument("--device", default=DEVICE)
    command.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    command.add_argument("--save-every", type=float, default=120.0, help="seconds")
    command.add_argument("--out", type=Path, required=True)
    command.set_defaults(action=pretrain)


def add_export(commands: Commands) -> None:
    """The options of `export`."""
    command = commands.add_parser("export", help="write a transformers model")
    command.add_argument("--checkpoint", type=Path, required=True)
    command.add_argument("--tokenizer", type=Path, required=True)
    command.add_argument("--out", type=Path, required=True)
    command.set_defaults(action=export)


def add_measure(commands: Commands) -> None:
    """The options of `measure`."""
    command = commands.add_parser("measure", help="bits per character")
    command.add_argument("--model", type=Path, required=True)
    command.add_argument("--text", type=Path, required=True)
    command.add_argument("--stories", type=int, default=None)
    command.add_argument("--device", default=DEVICE)
    command.set_defaults(action=measure)


def add_sample(commands: Commands) -> None:
    """The options of `sample`."""
    command = commands.add_parser("sample", help="sample a corpus")
    command.add_argument("--model", type=Path, required=True)
    command.add_argument("--tokens", type=int, default=460_000)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--temperature", type=float, default=0.9)
    command.add_argument("--top-p", type=float, default=0.97)
    command.add_argument("--device", default=DEVICE)
    command.add_argument("--out", type=Path, required=True)
    command.set_defaults(action=sample)


def add_saes(commands: Commands) -> None:
    """The options of `saes`."""
    command = commands.add_parser("saes", help="train the three SAEs and make the axes")
    command.add_argument("--model", type=Path, default=HERE / "lm")
    command.add_argument("--text", type=Path, default=HERE / "stories.txt.gz")
    command.add_argument("--layer", type=int, required=True)
    command.add_argument("--width", type=int, required=True)
    command.add_argument("--k", type=int, required=True)
    command.add_argument("--tokens", type=int, default=2_000_000)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--axes", nargs="+", default=["gender", "sentiment", "tense"])
    command.add_argument("--device", default=DEVICE)
    command.add_argument("--checkpoints", type=Path, help="go on from here after a crash")
    command.add_argument("--every", type=int, default=100, help="steps between checkpoints")
    command.add_argument("--out", type=Path, default=HERE / "saes")
    command.set_defaults(action=saes)


if __name__ == "__main__":
    chosen = parse()
    try:
        chosen.action(chosen)
    except ValueError as error:
        sys.exit(f"error: {error}")
