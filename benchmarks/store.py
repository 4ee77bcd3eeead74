"""What a store of a million features costs: loading it, its size, one dashboard, a table, a search.

    python benchmarks/store.py --json store.json            # both databases, 1,048,576 features
    python benchmarks/store.py --quick                      # 16,384 features, within a minute
    python benchmarks/store.py --databases sqlite --features 262144

Loads a synthetic SAE, 20 + 20 examples per feature, through the store's own writers, then reads it
back as a page does. Postgres is started here, in a temporary folder, and needs only its programs.
Wall time, unless it says CPU: this is about disks and databases, not about arithmetic.
"""

import argparse
import gc
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parents[1]))  # neither is installed

from benchmarks.store_rows import AT_ONCE, EXAMPLES, WORDS, Synthetic, prepare
from server.settings import Settings
from server.store.feature_rows import FeatureFilters
from server.store.feature_table import SORTS, list_features
from server.store.features import get_feature
from server.store.indexes import (
    begin_index,
    publish_index,
    write_example_lists,
    write_features,
)
from server.store.language_models import Vocabularies
from server.store.migrate import migrate
from server.store.saes import get_sae
from server.store.session import Database

SERVER = (
    "listen_addresses=", "max_connections=60", "shared_buffers=256MB", "max_wal_size=4GB",
)  # fmt: skip
FILTERS = (
    FeatureFilters(),
    FeatureFilters(two_sided=20),
    FeatureFilters(min_balance=-0.25, max_balance=0.25),
    FeatureFilters(two_sided=20, min_density=0.001, min_opposition=0.5),
    FeatureFilters(min_max_neg=7.0, max_density_pos=0.0005),
    FeatureFilters(min_balance=0.9, two_sided=20),  # very few
)


def main() -> None:
    """Load and read each database, print as it goes, write everything at the end."""
    options = parse()
    results = {}
    for name in options.databases:
        with DATABASES[name]() as (url, size):
            results[name] = measure(name, url, size, options.features, options.samples)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def measure(
    name: str, url: str, size: Callable[[Database], int], features: int, samples: int
) -> dict[str, float]:
    """All figures of one database."""
    migrate(url)
    database = Database(url)
    try:
        synthetic = Synthetic(min(40_000, max(1_000, features // 16)))
        corpus, sae = prepare(database, synthetic, features)
        before = size(database)
        gc.disable()  # as the index's writer does: each search for cycles holds a transaction up
        rate, longest = load(database, sae, corpus, synthetic, features)
        gc.enable()
        say(name, f"loaded {features:,} features, {2 * EXAMPLES * features:,} examples")
        result: dict[str, float] = {"load_rows_per_s": round(rate)}
        result["bytes_per_feature"] = round((size(database) - before) / features)
        result["longest_transaction_s"] = round(longest, 2)
        for key, read in {
            "dashboard": dashboards(database, sae, features),
            "page": pages(database, sae),
            "search": searches(database, sae, synthetic),
            "web_feature_page": web_pages(url, f"/sae/{sae}/feature/", features),
            "web_table_page": web_tables(url, sae),
        }.items():
            result |= {f"{key}_{name}": value for name, value in timed(read, samples).items()}
        for key, value in result.items():
            say(name, f"{key:28s} {value:,.2f}")
        return result
    finally:
        database.dispose()


def load(
    database: Database, sae: int, corpus: int, synthetic: Synthetic, features: int
) -> tuple[float, float]:
    """Examples written per second, features included; seconds of the longest transaction."""
    spent, longest = 0.0, 0.0
    with database.write() as session:
        index = begin_index(session, sae, corpus)
    for first in range(0, features, AT_ONCE):
        part = range(first, min(first + AT_ONCE, features))
        feature_rows, lists = synthetic.features(part), synthetic.lists(part)
        for write, rows in ((write_features, feature_rows), (write_example_lists, lists)):
            began = time.perf_counter()
            with database.write() as session:  # one each, as the index's own writer
                write(session, index, rows)
            took = time.perf_counter() - began
            spent, longest = spent + took, max(longest, took)
        if first % (64 * AT_ONCE) == 0 and first:
            say("load", f"{first:,} features, {2 * EXAMPLES * first / spent:,.0f} rows/s")
    began = time.perf_counter()
    with database.write() as session:
        publish_index(session, index, 1_000_000, synthetic.windows, features, features)
    spent += time.perf_counter() - began
    return 2 * EXAMPLES * features / spent, longest


def dashboards(database: Database, sae: int, features: int) -> Callable[[], object]:
    """Reads everything on one feature's page."""
    vocabularies = Vocabularies()

    def read() -> object:
        with database.read() as session:
            record = get_sae(session, sae)
            assert record is not None
            vocabulary = vocabularies.of(session, record.model_id)
            return get_feature(session, record, random.randrange(features), vocabulary=vocabulary)

    return read


def pages(database: Database, sae: int) -> Callable[[], object]:
    """Reads a page of the table: any sort, either end, a filter, and now and then the next page."""
    state: dict[str, Any] = {"next": None}

    def read() -> object:
        with database.read() as session:
            record = get_sae(session, sae)
            assert record is not None
            if state["next"] is None or random.random() < 0.5:
                state["asked"] = {
                    "sort": random.choice(list(SORTS)),
                    "descending": random.random() < 0.5,
                    "filters": random.choice(FILTERS),
                }
                place: dict[str, Any] = {"before": ""} if random.random() < 0.5 else {}
            else:
                place = {"after": state["next"]}
            page = list_features(session, record, **state["asked"], **place)
            state["next"] = page.next
            return page

    return read


def searches(database: Database, sae: int, synthetic: Synthetic) -> Callable[[], object]:
    """Reads the strongest matches of what somebody types: one to six letters, at times two words."""

    def word() -> str:
        at = min(int(np.searchsorted(synthetic.cumulated, random.random())), WORDS - 1)
        return synthetic.words[at][: random.randint(1, 6)]

    def read() -> object:
        typed = " ".join(word() for _ in range(random.choice((1, 1, 2))))
        with database.read() as session:
            record = get_sae(session, sae)
            assert record is not None
            return list_features(session, record, sort="max", descending=True, search=typed)

    return read


def web_pages(url: str, path: str, features: int) -> Callable[[], object]:
    """Asks the web application for a feature's page."""
    get = _client(url)
    return lambda: get(f"{path}{random.randrange(features)}")


def web_tables(url: str, sae: int) -> Callable[[], object]:
    """Asks the web application for a page of the table."""
    get = _client(url)

    def read() -> object:
        sort, order = random.choice(list(SORTS)), random.choice(("asc", "desc"))
        return get(f"/sae/{sae}?sort={sort}&order={order}&two_sided=1&min_density=0.001")

    return read


def _client(url: str) -> Callable[[str], object]:
    from fastapi.testclient import TestClient

    from server.web.app import create_app

    client = TestClient(
        create_app(Settings(Path(tempfile.gettempdir()), url)), base_url="http://127.0.0.1"
    )

    def get(path: str) -> object:
        response = client.get(path)
        assert response.status_code == 200, (path, response.status_code, response.text[:500])
        return response

    return get


def timed(read: Callable[[], object], samples: int) -> dict[str, float]:
    """Median and 95th percentile in ms, after some readings that only warm up.

    Also of this process's own CPU time, which other work on the machine does not lengthen much.
    """
    random.seed(0)
    for _ in range(20):
        read()
    wall, own = [], []
    for _ in range(samples):
        began, began_own = time.perf_counter(), time.process_time()
        read()
        wall.append(1000 * (time.perf_counter() - began))
        own.append(1000 * (time.process_time() - began_own))
    figures = {
        "p50_ms": statistics.median(wall),
        "p95_ms": float(np.quantile(wall, 0.95)),
        "p95_cpu_ms": float(np.quantile(own, 0.95)),
    }
    return {name: round(value, 2) for name, value in figures.items()}


@contextmanager
def sqlite() -> Iterator[tuple[str, Callable[[Database], int]]]:
    """The URL of a file that is removed, and how large it is."""
    folder = Path(tempfile.mkdtemp(prefix="dipole-store-"))

    def size(database: Database) -> int:
        with database.write() as session:
            pages = session.execute(text("PRAGMA page_count")).scalar_one()
            return pages * session.execute(text("PRAGMA page_size")).scalar_one()

    try:
        yield f"sqlite:///{folder / 'dipole.db'}", size
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[tuple[str, Callable[[Database], int]]]:
    """The URL of a database on a server of our own, and how large it is."""
    from tests.postgres import connect, run_postgres, url_of

    def size(database: Database) -> int:
        with connect(folder, "dipole") as connection:
            connection.execute("VACUUM ANALYZE")  # as autovacuum would in a while
            row = connection.execute("SELECT pg_database_size('dipole')").fetchone()
            assert row is not None
            return row[0]

    with run_postgres(SERVER) as folder:
        with connect(folder) as connection:
            connection.execute("CREATE DATABASE dipole")
        yield url_of(folder, "dipole"), size


DATABASES = {"sqlite": sqlite, "postgres": postgres}


def say(name: str, line: str) -> None:
    """Print at once, also into a file."""
    print(f"{name:9s}{line}", flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", type=int, default=2**20)
    parser.add_argument("--quick", action="store_true", help="16,384 features")
    parser.add_argument("--samples", type=int, default=300, help="readings of each kind")
    parser.add_argument("--databases", nargs="+", choices=list(DATABASES), default=list(DATABASES))
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    if options.quick:
        options.features, options.samples = 2**14, min(options.samples, 100)
    return options


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
