"""Children that die with their parent, and one that comes back."""

import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from server import supervisor as supervisor_module
from server.supervisor import LONGEST_PAUSE, Supervisor, pauses, stop_child

ROOT = str(Path(supervisor_module.__file__).resolve().parents[1])
FOLLOWER = "from server.supervisor import follow_stdin; follow_stdin(); print('up', flush=True)"
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-c", {FOLLOWER + "; import time; time.sleep(600)"!r}], stdin=subprocess.PIPE
)
print(child.pid, flush=True)
time.sleep(600)
"""


def python(script: str, **more: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, **more)  # type: ignore[call-overload]


def is_alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def test_pauses_double_up_to_the_longest() -> None:
    seconds = list(islice(pauses(), 9))

    assert seconds[:4] == [0.5, 1, 2, 4]
    assert seconds[-1] == LONGEST_PAUSE


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_a_child_is_gone_when_its_parent_is_killed() -> None:
    with python(PARENT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert parent.stdout.readline() == b"up\n"
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    deadline = time.monotonic() + 60
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(child)


def test_a_crashed_child_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE", 0.01)
    starts: list[int] = []

    def start_child() -> subprocess.Popen[bytes]:
        child = python("import time; time.sleep(600)" if starts else "raise SystemExit(3)")
        starts.append(child.pid)
        return child

    supervisor = Supervisor(start_child, "toy")
    supervisor.start()
    deadline = time.monotonic() + 60
    while len(starts) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    supervisor.stop()

    assert len(starts) == 2
    assert not is_alive(starts[1])


def test_a_child_that_ignores_sigterm_is_killed() -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('up', flush=True); time.sleep(600)"
    )
    with python(script, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()

        assert stop_child(child, grace=0.1) == -signal.SIGKILL
