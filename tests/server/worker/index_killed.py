"""A case whose indexing was killed half-way, and what then stands in its database and folder."""

from pathlib import Path

from server.store.features import get_feature
from server.store.indexes import list_indexes
from server.worker import kept_pass
from server.worker.library import require_sae
from tests.server.worker.index_case import WIDTH, Case

CHILD = """
import sys, time
from pathlib import Path
from server.settings import Settings
from server.store.session import Database
from server.worker import index_writer, indexing, kept_pass
from server.worker.library import load_model, open_corpus, require_sae
from server.worker.progress import TaskContext
from server.worker.task_index import target_of
from models.index import indexer

folder, url = Path(sys.argv[1]), sys.argv[2]
indexer.WINDOWS_AT_ONCE = 20
kept_pass.SECONDS = kept_pass.SHARE = 0
context = TaskContext(Settings(data_dir=folder, database_url=url), Database(url))
lm, model_id = load_model(context.database, str(folder / "model"))
corpus = open_corpus(context.database, lm, model_id, folder / "text.txt")
target = target_of(context, require_sae(context.database, "random"))
work = indexing.Indexing(context.database, lm, [target], corpus, context)

def wait(*_):
    print("here", flush=True)
    time.sleep(600)

list(work.advance(len(corpus.windows)))
index_writer.write_example_lists = wait
list(work.publish())
"""


def shown(case: Case) -> list:
    """Everything that is shown of the features, but which index it is from."""
    record = require_sae(case.database, case.sae_id)
    with case.database.read() as session:
        found = [get_feature(session, record, feature) for feature in range(WIDTH)]
    return [vars(feature) | {"index_id": 0} for feature in found if feature is not None]


def states(case: Case) -> list[str]:
    with case.database.read() as session:
        return [index.state for index in list_indexes(session, case.sae_id)]


def kept_files(case: Case) -> list[Path]:
    return sorted((case.context.settings.data_dir / kept_pass.FOLDER).glob("*"))
