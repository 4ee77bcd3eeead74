"""Maps: our layout beside scikit-learn's t-SNE, openTSNE's own and PaCMAP, on the same rows.

    python benchmarks/layout.py --peers --json layout.json        (--quick: under a minute)

Rows are clusters of directions with random signs, as a dictionary's are (`--items`, `--width`). CPU
time of one thread each; by axis, |cosine|, for whoever can be given neighbours or distances: PaCMAP
cannot, so it and openTSNE's own neighbour search get rows whose signs agree within a cluster, by
direction, which are the same neighbours. `preservation` is the share of 15 nearest neighbours that
stay neighbours on the map, `trust` the trustworthiness. scikit-learn and openTSNE are Dipole's own
dependencies; `--peers` installs PaCMAP in an environment of its own. Knows no page and no store.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from openTSNE import TSNE as OpenTsne
from sklearn.manifold import TSNE

from models.layout import distance_matrix, layout_steps
from models.layout.neighbours import unit_rows
from models.layout.quality import preservation, trustworthiness

PACMAP = "pacmap==0.9.1"
PROGRAM = """
import sys, time, numpy, pacmap
rows = numpy.load(sys.argv[1])
began = time.process_time()
places = pacmap.PaCMAP(n_components=2, random_state=0).fit_transform(rows)
print(time.process_time() - began)
numpy.save(sys.argv[2], places)
"""


def main() -> None:
    """Lay out, measure, print, write."""
    options = parse()
    torch.set_num_threads(1)
    rows, aligned = planted(options.items, options.width)
    unit, result = unit_rows(rows), {}
    for name, seconds, places in layouts(rows, aligned, options):
        result[name] = {
            "cpu_s": seconds,
            "trust": trustworthiness(unit, places, "axis"),
            "preservation": preservation(unit, places, "axis"),
        }
        shown = "  ".join(f"{key} {value:.3f}" for key, value in result[name].items())
        print(f"{name:16} {shown}", flush=True)
    result |= {"items": options.items, "width": options.width, "load": os.getloadavg()[0]}
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


Layouts = Iterator[tuple[str, float, np.ndarray]]


def layouts(rows: torch.Tensor, aligned: np.ndarray, options: argparse.Namespace) -> Layouts:
    """(name, CPU seconds, places) of each; ours first the quick one, then the finished one."""
    yield from ours(rows)
    seconds, places = timed(lambda: OpenTsne(metric="cosine", random_state=0).fit(aligned))
    yield "opentsne", seconds, np.asarray(places)
    if options.items <= options.most_distances:
        method = TSNE(metric="precomputed", init="random", random_state=0, perplexity=30)
        seconds, places = timed(lambda: method.fit_transform(distance_matrix(rows, "axis")))
        yield "scikit_learn", seconds, places
    if options.peers:
        yield "pacmap", *pacmap(aligned)


def ours(rows: torch.Tensor) -> Layouts:
    """What `dipole map` does; times count from its start, measuring trustworthiness included."""
    began, found = time.process_time(), []
    for step in layout_steps(rows, np.arange(len(rows)), "axis", seed=0):
        if step.layout is not None:
            found.append((time.process_time() - began, step.layout.coordinates))
    for name, (seconds, places) in zip(("ours_quick", "ours")[-len(found) :], found, strict=True):
        yield name, seconds, places


def pacmap(aligned: np.ndarray) -> tuple[float, np.ndarray]:
    """PaCMAP in an environment of its own."""
    folder = Path(__file__).parents[1] / "artifacts" / "peers" / "pacmap"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PACMAP], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        given, made = Path(scratch) / "rows.npy", Path(scratch) / "places.npy"
        np.save(given, aligned)
        one = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        done = subprocess.run(
            [python, "-c", PROGRAM, given, made],
            check=True,
            capture_output=True,
            text=True,
            env=one,
        )
        return float(done.stdout.split()[-1]), np.load(made)


def planted(items: int, width: int) -> tuple[torch.Tensor, np.ndarray]:
    """Rows in clusters of about twenty with random signs, and the same rows without the signs."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(max(2, items // 20), width, generator=generator)
    chosen = torch.randint(0, len(centres), (items,), generator=generator)
    rows = centres[chosen] + 0.7 * torch.randn(items, width, generator=generator)
    signs = torch.randint(0, 2, (items, 1), generator=generator) * 2 - 1
    return rows * signs, rows.numpy()


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of this process, and the result."""
    began = time.process_time()
    result = action()
    return time.process_time() - began, result


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=16_384)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--most-distances", type=int, default=16_384, help="for scikit-learn")
    parser.add_argument("--peers", action="store_true", help="PaCMAP too")
    parser.add_argument("--quick", action="store_true", help="1,500 rows of 64 dimensions")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.items, options.width, options.peers = 1_500, 64, False
    return options


if __name__ == "__main__":
    sys.exit(main())
