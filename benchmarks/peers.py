"""Other SAE libraries in an environment of their own, and processes that run in it or in ours.

The environment lies below `artifacts/`, which git ignores; nothing of it is a dependency.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "artifacts" / "peers" / "venv"
PYTHON = FOLDER / "bin" / "python"
TORCH = "torch==2.13.0"
PEERS = ["sae-lens==6.54.12", "dictionary-learning==0.1.0", "eai-sparsify==1.3.3"]
BROKEN = ["torchvision", "torchaudio"]  # their published builds do not fit a CPU build of torch
IMPORTS = "import sae_lens, dictionary_learning, sparsify"


def is_installed() -> bool:
    """Whether the peers' environment imports."""
    if not PYTHON.exists():
        return False
    return subprocess.run([PYTHON, "-c", IMPORTS], capture_output=True, check=False).returncode == 0


def install() -> None:
    """Make the peers' environment (some 2 GB) unless it is there. Raises CalledProcessError."""
    if is_installed():
        return
    venv.create(FOLDER, clear=True, with_pip=True)
    constraint = FOLDER / "constraint.txt"
    constraint.write_text(f"{TORCH}\n")
    pip = [PYTHON, "-m", "pip"]
    subprocess.run([*pip, "install", "-q", "-c", constraint, TORCH, *PEERS], check=True)
    subprocess.run([*pip, "uninstall", "-q", "-y", *BROKEN], check=True)
    subprocess.run([PYTHON, "-c", IMPORTS], check=True)


class Contender:
    """A `training_worker.py` process; use it in a `with` block."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        is_ours = name.startswith("ours") or name == "floor"
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "WANDB_MODE": "disabled",
            "HF_HUB_OFFLINE": "1",
        }
        if is_ours:
            paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self.process = subprocess.Popen(
            [
                sys.executable if is_ours else PYTHON,
                ROOT / "benchmarks" / "training_worker.py",
                name,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, float]:
        """Send one command and wait for its answer. Raises RuntimeError with what went wrong there."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        try:
            self.process.stdin.write(json.dumps({"do": do} | arguments) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"{self.name} failed at {do}:\n{self.process.stderr.read()[-2000:]}")
        return json.loads(answer)

    def __enter__(self) -> "Contender":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.communicate()
