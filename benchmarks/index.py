"""What does an index cost? Ours over the bare forward + encode, and against SAEDashboard.

    python benchmarks/index.py --quick                  # ours alone, within a minute
    python benchmarks/index.py --peers --json FILE      # installs SAEDashboard 0.8.0 first (2 GB)

The same random 6-layer model (d = 128), the same SAE (k = 16) and the same windows of 128 tokens of the
demo's stories for all; one thread each; CPU time. "Whole" is everything from windows in memory to a
published index in a fresh SQLite file: the pass, both poles' examples by extreme and by mean,
interval samples, turning points, quantiles, token statistics, co-firing, neighbours, logits,
labels, concept scores, rows written, signs settled. "Bare" is the CPU time that the language model and
the encoder take of that very pass, so that a neighbour on the machine cannot weigh on one of them
only. What follows the pass depends on the width alone, so its share falls with the length of the
corpus: hence two lengths, of which the longer one, a million tokens (the stories, over again in
other windows), gives `over_forward_and_encode`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from index_case import CONTEXT, write_case

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "artifacts" / "peers-index"
PEER_PYTHON = PEERS / "bin" / "python"
REQUIREMENTS = ["sae-dashboard==0.8.0", "transformers<4.57", "pyarrow<20", "torch==2.13.0"]
BROKEN = ["torchvision", "torchaudio"]  # their published builds do not fit a CPU build of torch
TOKENS = 784 * CONTEXT  # 100,352
WIDTH, WIDER = 2_048, 4_096
LONGER = 10  # times as many tokens
QUICK = 512


def main() -> None:
    """Measure case by case, print as it goes, write everything at the end."""
    options = parse()
    if options.peers and not options.quick:
        install_peers()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if options.quick:
            cases = [("abstopk", QUICK, TOKENS // 4, 1), ("abstopk", QUICK, 2 * TOKENS, 1)]
        else:
            rounds = options.rounds
            cases = [
                ("abstopk", WIDTH, TOKENS, rounds),
                ("abstopk", WIDTH, LONGER * TOKENS, 1),
                ("topk", WIDTH, TOKENS, rounds),
                ("abstopk", WIDER, TOKENS, rounds),
                ("topk", WIDER, TOKENS, rounds),
            ]
        most = max(tokens for _, _, tokens, _ in cases)
        ours = [ours_on(place, most, *case) for case in cases]
        result = summarise(ours)
        if options.peers and not options.quick:
            result["saedashboard"] = [peer_on(place, width) for width in (WIDTH, WIDER)]
            result |= compare(ours, result["saedashboard"])
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, ours alone")
    parser.add_argument(
        "--peers", action="store_true", help="SAEDashboard too, installed if needed"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of bare and whole in turn")
    parser.add_argument("--json", help="write the figures here")
    return parser.parse_args()


def ours_on(
    place: Path, most: int, sparsifier: str, width: int, tokens: int, rounds: int
) -> dict[str, Any]:
    """Our figures of one case, measured in a process of its own."""
    case = write_case(place, sparsifier, width, most)
    script = Path(__file__).with_name("index_ours.py")
    found = run([sys.executable, script, case, str(tokens), str(rounds)])
    after = found["whole"] - found["pass"] * found["bare"]
    print(
        f"{sparsifier} {width:,} × {found['tokens']:,} tokens: bare {found['bare']:.2f} s,"
        f" whole {found['whole']:.2f} s = {found['ratio']:.3f} ×; the pass {found['pass']:.3f} ×,"
        f" then {after:.2f} s to publish, of which concepts {found['concepts']:.2f} s"
    )
    print(
        f"    {width / found['whole']:,.0f} features/s, {found['tokens'] / found['whole']:,.0f}"
        f" tokens/s, peak +{found['peak_mb']:.0f} MB beyond model and encoder; opposition, after"
        f" publishing, {found['oppose']:.2f} s",
        flush=True,
    )
    return found | {"sparsifier": sparsifier, "width": width}


def peer_on(place: Path, width: int) -> dict[str, Any]:
    """SAEDashboard's figures on the one-sided SAE of this width, its activation cache off and on."""
    case = place / f"topk-{width}"
    script = Path(__file__).with_name("index_peer.py")
    found: dict[str, Any] = {"width": width}
    for cached in ("", "cached"):
        measured = run([str(PEER_PYTHON), script, case, str(TOKENS), cached])
        found |= {f"{cached or 'plain'}_{key}": value for key, value in measured.items()}
        print(
            f"SAEDashboard {width:,} × {TOKENS:,} tokens{', cached' * bool(cached)}:"
            f" {measured['seconds']:.1f} s, {width / measured['seconds']:.1f} features/s,"
            f" peak +{measured['peak_mb']:.0f} MB",
            flush=True,
        )
    return found


def run(command: list[Any]) -> dict[str, Any]:
    """The last line that a process prints, as JSON; one thread, no network."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
    }
    if command[0] == sys.executable:
        environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [str(word) for word in command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{command[1]} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def summarise(ours: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of the first case, and whether memory stays when the corpus grows."""
    first, longer = ours[0], ours[1]
    growth = longer["peak_mb"] - first["peak_mb"]
    fixed = [each["whole"] - each["pass"] * each["bare"] for each in (first, longer)]
    times = longer["tokens"] / first["tokens"]
    print(
        f"{times:.0f} × the tokens: {growth:+.0f} MB of peak; after the pass {fixed[0]:.2f} s"
        f" and {fixed[1]:.2f} s"
    )
    return {
        "over_forward_and_encode": longer["ratio"],
        "speedup_over_saedashboard": None,  # measured with --peers
        "over_forward_and_encode_shorter": first["ratio"],
        "pass_over_forward_and_encode": longer["pass"],
        "peak_mb": first["peak_mb"],
        "peak_mb_longer": longer["peak_mb"],
        "cases": ours,
    }


def compare(ours: list[dict[str, Any]], peers: list[dict[str, Any]]) -> dict[str, Any]:
    """How many times faster ours is, on the same one-sided SAE, by width."""
    times: dict[int, dict[str, float]] = {}
    for peer in peers:
        width = peer["width"]
        own = next(o for o in ours if o["sparsifier"] == "topk" and o["width"] == width)
        times[width] = {key: peer[f"{key}_seconds"] / own["whole"] for key in ("plain", "cached")}
        gap = abs(peer["plain_largest"] - own["largest"])
        print(
            f"{width:,} latents: {times[width]['plain']:.1f} × as fast as SAEDashboard,"
            f" {times[width]['cached']:.1f} × with its cache (largest activation {gap:.1e} apart)"
        )
    return {
        "speedup_over_saedashboard": times[WIDTH]["plain"],
        "speedup_over_saedashboard_cached": times[WIDTH]["cached"],
        "speedup_by_width": times,
    }


def install_peers() -> None:
    """Make SAEDashboard's environment unless it is there. Raises CalledProcessError."""
    check = [PEER_PYTHON, "-c", "import sae_dashboard.sae_vis_runner"]
    if (
        PEER_PYTHON.exists()
        and not subprocess.run(check, capture_output=True, check=False).returncode
    ):
        return
    venv.create(PEERS, clear=True, with_pip=True)
    pip = [PEER_PYTHON, "-m", "pip"]
    subprocess.run([*pip, "install", "-q", *REQUIREMENTS], check=True)
    subprocess.run([*pip, "uninstall", "-q", "-y", *BROKEN], check=True)
    subprocess.run(check, check=True)


if __name__ == "__main__":
    main()
