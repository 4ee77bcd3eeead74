"""`python -m server.worker.training.torchrun`: torchrun that ends when its standard input does.

The process that started it holds that pipe: killed, it leaves no training behind. Knows nothing of
what is run.
"""

import contextlib
import os
import signal
import sys
from threading import Thread

from torch.distributed.run import main


def _follow_stdin() -> None:
    """Ask this process to end as SIGTERM would, once whoever started it is gone."""
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=_follow_stdin, name="follow-stdin", daemon=True).start()
    main()
