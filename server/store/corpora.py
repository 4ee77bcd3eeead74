"""Texts as a model's tokens: corpora and the windows they are cut into, each stored once.

Knows the tables `corpus` and `seq`; token ids only, the strings are the model's.
"""

from collections.abc import Collection, Iterable
from collections.abc import Sequence as Tokens
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from server.store.bulk import bulk_insert, insert_for
from server.store.encoding import decode_tokens, encode_tokens, now
from server.store.tables import Corpus, FeatureIndex, Sequence


@dataclass(frozen=True)
class CorpusRecord:
    """A text as one model reads it: `windows` windows of up to `context` tokens."""

    id: int
    name: str
    source: str
    model_id: int
    fingerprint: str
    windows: int
    tokens: int
    context: int
    bos_policy: str
    packing: str | None
    created_at: str


class SequenceRow(NamedTuple):
    """One window: where in which document it starts, and its tokens as stored."""

    seq: int
    document: int
    start: int
    tokens: bytes
    token_bytes: int = 2

    @property
    def token_ids(self) -> list[int]:
        """The window's token ids."""
        return decode_tokens(self.tokens, self.token_bytes)

    @classmethod
    def of(cls, seq: int, document: int, start: int, token_ids: Tokens[int]) -> "SequenceRow":
        """A row from token ids, in 2 bytes each if they fit."""
        width = 2 if max(token_ids, default=0) < 2**16 else 4
        return cls(seq, document, start, encode_tokens(token_ids, width), width)


_COLUMNS = [Corpus.__table__.c[name] for name in CorpusRecord.__dataclass_fields__]
_WINDOWS = select(
    Sequence.seq, Sequence.document, Sequence.start, Sequence.tokens, Sequence.token_bytes
).where(
    Sequence.corpus_id == bindparam("corpus"), Sequence.seq.in_(bindparam("seqs", expanding=True))
)
"""Made once: building a statement takes longer than SQLite takes to answer it."""

_SEQUENCE_COLUMNS = ("corpus_id", "seq", "document", "start", "tokens", "token_bytes")


def create_corpus(
    session: Session,
    *,
    name: str,
    source: str,
    model_id: int,
    fingerprint: str,
    windows: int,
    tokens: int,
    context: int,
    bos_policy: str,
    packing: str | None = None,
) -> int:
    """The id of this model's corpus of this fingerprint, added or brought up to date."""
    values = {
        "name": name,
        "source": source,
        "windows": windows,
        "tokens": tokens,
        "context": context,
        "bos_policy": bos_policy,
        "packing": packing,
    }
    insert = insert_for(session, Corpus).values(
        model_id=model_id, fingerprint=fingerprint, created_at=now(), **values
    )
    upsert = insert.on_conflict_do_update(index_elements=["model_id", "fingerprint"], set_=values)
    return session.execute(upsert.returning(Corpus.id)).scalar_one()


def find_corpus(session: Session, model_id: int, fingerprint: str) -> CorpusRecord | None:
    """The corpus of this fingerprint if all its windows are stored; None for a half-written one."""
    stored = select(func.count()).where(Sequence.corpus_id == Corpus.id).scalar_subquery()
    query = select(*_COLUMNS).where(
        Corpus.model_id == model_id, Corpus.fingerprint == fingerprint, Corpus.windows == stored
    )
    row = session.execute(query).one_or_none()
    return None if row is None else CorpusRecord(**row._mapping)


def get_corpus(session: Session, corpus_id: int) -> CorpusRecord | None:
    """The corpus of this id, whether or not all its windows are stored."""
    row = session.execute(select(*_COLUMNS).where(Corpus.id == corpus_id)).one_or_none()
    return None if row is None else CorpusRecord(**row._mapping)


def corpus_of_index(session: Session, index_id: int | None) -> CorpusRecord | None:
    """The text that a published index was made of; None without one."""
    query = (
        select(*_COLUMNS)
        .join(FeatureIndex, FeatureIndex.corpus_id == Corpus.id)
        .where(FeatureIndex.id == index_id, FeatureIndex.state == "published")
    )
    row = session.execute(query).one_or_none()
    return None if row is None else CorpusRecord(**row._mapping)


def add_sequences(session: Session, corpus_id: int, rows: Iterable[SequenceRow]) -> None:
    """Store windows, a thousand or so per transaction; windows already stored stay as they are.

    A fingerprint stands for the very windows, so an interrupted writer may simply start again.
    """
    tuples = (
        (corpus_id, int(row.seq), int(row.document), int(row.start), row.tokens, row.token_bytes)
        for row in rows
    )
    bulk_insert(session, Sequence, _SEQUENCE_COLUMNS, tuples, ignore_present=True)


def get_sequences(
    session: Session, corpus_id: int, seqs: Collection[int]
) -> dict[int, SequenceRow]:
    """The windows of these numbers; numbers without a window are left out."""
    wanted = sorted(set(seqs))
    found: dict[int, SequenceRow] = {}
    for begin in range(0, len(wanted), 1000):
        part = {"corpus": corpus_id, "seqs": wanted[begin : begin + 1000]}
        found.update((row.seq, SequenceRow(*row)) for row in session.execute(_WINDOWS, part))
    return found
