"""The web process: feature page, prompt round trip, memory, and how soon the first page is there.

    python benchmarks/web.py --json web.json        (--quick: under a minute)

Needs nothing but this repository: the shipped SAE is indexed on part of the shipped stories in a
temporary folder (`--tokens`, a fifth of them with --quick), and `dipole serve` with a real worker
runs over it. With `--data-dir`, a folder that `dipole demo --no-serve --data-dir DIR` has finished,
a copy of that is served instead, with all its tokens. Pages are those of the features of SAE 1, whose 64
of 256 latents fire on every token: as heavy as pages get.

`prompt_over_bare` is the median prompt round trip of 64 tokens through web and worker over a bare
forward and encode in this process, interleaved, wall clock; `prompt_within_target` says whether it
is at most 1.3 × + 10 ms. `web_rss_mb` is the resident memory of the web process at the end (Linux),
beside its Pss, in which shared pages are shared out. Knows addresses, not code.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
import torch

from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from models.sae.checkpoint import load_sae

MODEL, LAYER = "models/demo/lm", 4
TOKENS = 64
STORY = "Once upon a time there was a little girl named Lily who liked to play in the park. "
START_SECONDS = 120
DIPOLE = (sys.executable, "-m", "server")


def main() -> None:
    """Start, measure, print, write."""
    options = parse()
    torch.set_num_threads(options.threads)
    lm = LanguageModel.load(MODEL, name="demo")
    sae = load_sae(options.sae)
    text = text_of(lm, TOKENS)
    with (
        tempfile.TemporaryDirectory() as folder,
        served(made(Path(folder), options), options.threads) as (client, process, first_page),
    ):
        pages = [timed(lambda n=n: page(client, n)) for n in range(-5, options.pages)][5:]
        trips, bare = prompt_times(client, lm, sae, text, options.rounds)
        memory = memory_of(process)
    floor, trip = median(bare), median(trips)
    result = {
        "feature_page_p95_ms": 1e3 * quantile(pages, 0.95),
        "feature_page_median_ms": 1e3 * median(pages),
        "prompt_over_bare": trip / floor,
        "prompt_ms": 1e3 * trip,
        "bare_ms": 1e3 * floor,
        "prompt_within_target": trip <= 1.3 * floor + 0.010,
        "web_rss_mb": memory["Rss"],
        "web_pss_mb": memory["Pss"],
        "web_private_mb": memory["Private_Clean"] + memory["Private_Dirty"],
        "first_page_s": first_page,
        "load_average": os.getloadavg()[0],
        "pages": options.pages,
        "rounds": options.rounds,
    }
    for name, value in result.items():
        print(f"{name:24} {value:.3f}" if isinstance(value, float) else f"{name:24} {value}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


def made(folder: Path, options: argparse.Namespace) -> Path:
    """A data folder that may be written to: a copy of the one given, or a new one."""
    if options.data_dir is not None:
        if not (options.data_dir / "dipole.db").is_file():
            raise SystemExit(
                f"{options.data_dir} holds no dipole.db: make one with `dipole demo --no-serve"
                f" --data-dir {options.data_dir}`, or leave --data-dir out"
            )
        ignored = shutil.ignore_patterns("locks", "worker.sock")
        return Path(shutil.copytree(options.data_dir, folder / "data", ignore=ignored))
    print(f"indexing {options.sae} on {options.tokens:,} tokens …", flush=True)
    command = ["import", str(options.sae), "--layer", str(LAYER)]
    size = ["--tokens", str(options.tokens), "--data-dir", str(folder)]
    subprocess.run([*DIPOLE, *command, *size, "--json"], check=True, stdout=subprocess.DEVNULL)
    return folder


@contextmanager
def served(folder: Path, threads: int) -> Iterator[tuple[httpx.Client, int, float]]:
    """A server over the data: a client, its process id, seconds to the first page."""
    port = free_port()
    arguments = ["serve", "--data-dir", str(folder), "--port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    child = subprocess.Popen(
        [*DIPOLE, *arguments], env=environment, stdout=subprocess.DEVNULL
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until(lambda: client.get("/").status_code == 200)
            yield client, child.pid, time.perf_counter() - began
    finally:
        child.terminate()
        child.wait(30)


def prompt_times(
    client: httpx.Client, lm: LanguageModel, sae: SparseAutoencoder, text: str, rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds through web and worker, and of a bare forward and encode, in turn."""
    ids = torch.tensor([lm.tokenize(text)])

    def ask() -> None:
        client.get("/prompt.json", params={"sae": 1, "text": text}).raise_for_status()

    @torch.inference_mode()
    def bare() -> None:
        sae.encode(lm.residual(ids, LAYER)[0].float())

    wait_until(lambda: client.get("/prompt.json", params={"sae": 1, "text": text}).is_success)
    for _ in range(3):
        ask()
        bare()
    pairs = [(timed(ask), timed(bare)) for _ in range(rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def page(client: httpx.Client, number: int) -> None:
    """One feature's page, another one each time."""
    client.get(f"/sae/1/feature/{number * 7 % 256}").raise_for_status()


def text_of(lm: LanguageModel, tokens: int) -> str:
    """A text of exactly so many tokens, with the one the model puts before it."""
    words = (STORY * 8).split(" ")
    for count in range(1, len(words)):
        text = " ".join(words[:count])
        if len(lm.tokenize(text)) >= tokens:
            return text
    raise ValueError("the story is too short: repeat it more often")


def memory_of(process: int) -> dict[str, float]:
    """Megabytes of a process by kind, as the kernel counts them."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines}


def timed(action: Callable[[], None]) -> float:
    """Seconds by the wall clock."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def wait_until(is_done: Callable[[], bool]) -> None:
    """Ask again until it is; raises TimeoutError."""
    began = time.perf_counter()
    while time.perf_counter() - began < START_SECONDS:
        try:
            if is_done():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise TimeoutError(f"the server did not answer within {START_SECONDS} s")


def quantile(values: list[float], share: float) -> float:
    """The value that so large a share does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, help="a finished demo; a copy is served")
    parser.add_argument("--sae", type=Path, default=Path("models/demo/saes/abstopk"))
    parser.add_argument("--tokens", type=int, default=100_000, help="to index without --data-dir")
    parser.add_argument("--pages", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="fewer tokens, pages and rounds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.pages, options.rounds, options.tokens = 200, 20, 20_000
    return options


if __name__ == "__main__":
    main()
