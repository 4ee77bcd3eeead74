"""The explain task: words for both poles of features from a model at an endpoint, and their scores.

What is explained is stored at once, so that a second start goes on where the first one ended. Knows
nothing of how questions are put.
"""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from sqlalchemy.orm import Session

from models.explain.interview import Explained, interview
from server.protocol.explain import ExplainRequest
from server.store.explanations import ExplanationRecord, explained_features, write_explanation
from server.store.feature_table import list_features
from server.store.saes import SaeRecord
from server.worker.endpoint import Endpoint, read_key
from server.worker.explain_contexts import ContextSource
from server.worker.library import find_sae
from server.worker.progress import Progress, RunInterrupted, TaskContext, TaskFailed

USUAL_TOP = 20
NOTICED_WITHIN = 1.0  # seconds until a stop is noticed


def run_explain(context: TaskContext, request: ExplainRequest) -> Iterator[Progress]:
    """Explain the features asked for that this model has not explained yet."""
    key = read_key(request.api_key_env)
    with context.database.read() as session:  # one moment: an index may be published meanwhile
        record = find_sae(session, request.sae)
        if record.published_index_id is None:
            raise ValueError(
                f"{record.name} is not indexed, so there are no contexts: run `dipole index` first"
            )
        wanted = _wanted(session, record, request)
        known = set() if request.again else explained_features(session, record.id, request.model)
    features = [feature for feature in wanted if feature not in known]
    skipped = len(wanted) - len(features)
    yield Progress(0, max(1, len(features)), "reading random contexts")
    source = ContextSource(context, record.id, features)
    done: list[int] = []
    failed: dict[int, str] = {}
    with Endpoint(request.endpoint, request.model, key) as endpoint:
        work = _explain_all(context, source, endpoint, features, request.concurrency)
        for feature, outcome in work:
            if isinstance(outcome, ValueError):
                failed[feature] = str(outcome)
            else:
                _store(context, record, request.model, feature, outcome)
                done.append(feature)
            message = f"explained {len(done)} of {len(features)}, {skipped} were already"
            yield Progress(len(done) + len(failed), len(features), message)
    if failed:
        feature, reason = next(iter(failed.items()))
        raise TaskFailed(
            f"{len(done)} features were explained and stored, {len(failed)} were not; "
            f"feature {feature}: {reason}"
        )
    result = {"sae": record.id, "explained": done, "skipped": skipped, "model": request.model}
    yield Progress(max(1, len(features)), max(1, len(features)), "explained", result)


def _wanted(session: Session, record: SaeRecord, request: ExplainRequest) -> list[int]:
    """The features named, or those of highest opposition. Raises ValueError for one there is not."""
    if request.features is not None:
        wrong = next((f for f in request.features if f >= record.d_sae), None)
        if wrong is not None:
            raise ValueError(f"{record.name} has the features 0 to {record.d_sae - 1}, not {wrong}")
        return list(dict.fromkeys(request.features))
    most, after, found = request.top or USUAL_TOP, None, []
    while len(found) < most:
        page = list_features(
            session, record, sort="opposition", descending=True, limit=min(most, 1000), after=after
        )
        found += [row.feature for row in page.rows if sum(row.firings.values())]
        after = page.next
        if after is None:
            break
    return found[:most]


def _explain_all(
    context: TaskContext,
    source: ContextSource,
    endpoint: Endpoint,
    features: Sequence[int],
    concurrency: int,
) -> Iterator[tuple[int, "Explained | ValueError"]]:
    """Explain so many at a time, in the order in which they end.

    What the endpoint refuses ends it all; an answer that cannot be read is one feature's.
    """
    waiting = iter(features)
    running: dict[Future[Explained], int] = {}
    with ThreadPoolExecutor(concurrency, thread_name_prefix="explain") as threads:
        try:
            while True:
                for feature in itertools.islice(waiting, concurrency - len(running)):
                    future = threads.submit(interview, source.of(feature), endpoint.ask, feature)
                    running[future] = feature
                if not running:
                    return
                for future in wait(running, NOTICED_WITHIN, FIRST_COMPLETED).done:
                    yield running.pop(future), _outcome(future)
                if context.stopping.is_set():
                    raise RunInterrupted("told to end")
        except BaseException:
            endpoint.stopping.set()  # nothing more is sent; what is on its way is waited for
            raise


def _outcome(future: "Future[Explained]") -> "Explained | ValueError":
    error = future.exception()
    if isinstance(error, ValueError):
        return error
    return future.result()


def _store(
    context: TaskContext, record: SaeRecord, model: str, feature: int, explained: Explained
) -> None:
    words = explained.words
    with context.database.write() as session:
        write_explanation(
            session,
            ExplanationRecord(
                sae_id=record.id,
                feature=feature,
                model=model,
                text_pos=words.plus,
                text_neg=words.minus,
                text_axis=words.axis,
                detection_pos=explained.detection["+"],
                detection_neg=explained.detection["-"],
                sign=explained.sign,
                sign_swapped=explained.sign_swapped,
                contexts=explained.contexts,
            ),
        )
