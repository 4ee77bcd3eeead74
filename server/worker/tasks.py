"""The kinds of long work a run can be: each a request and a generator of progress.

Importing this imports torch. Knows nothing of how a run is claimed, shown or cancelled.
"""

from collections.abc import Callable, Iterator
from typing import Any

from server.protocol import DemoRequest, IndexRequest, MapRequest, Message, TrainRequest
from server.protocol.axis import AxisRequest
from server.protocol.explain import ExplainRequest
from server.protocol.files import ImportRequest
from server.worker.progress import Progress, TaskContext
from server.worker.task_axis import run_axis
from server.worker.task_demo import run_demo
from server.worker.task_explain import run_explain
from server.worker.task_import import run_import
from server.worker.task_index import run_index_task
from server.worker.task_map import run_map
from server.worker.task_train import run_train

__all__ = ["TASKS", "Progress", "TaskContext"]

TASKS: dict[str, tuple[type[Message], Callable[[TaskContext, Any], Iterator[Progress]]]] = {
    "train": (TrainRequest, run_train),
    "index": (IndexRequest, run_index_task),
    "map": (MapRequest, run_map),
    "import": (ImportRequest, run_import),
    "axis": (AxisRequest, run_axis),
    "explain": (ExplainRequest, run_explain),
    "demo": (DemoRequest, run_demo),
}
