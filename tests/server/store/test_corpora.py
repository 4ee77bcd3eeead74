import pytest

from server.store.corpora import (
    SequenceRow,
    add_sequences,
    create_corpus,
    find_corpus,
    get_corpus,
    get_sequences,
)

ROWS = [SequenceRow.of(seq, seq // 2, seq * 4, [seq, 7, 65_535]) for seq in range(5)]


def create(session, model: int, windows: int = 5, fingerprint: str = "abc") -> int:
    return create_corpus(
        session,
        name="stories",
        source="stories.txt",
        model_id=model,
        fingerprint=fingerprint,
        windows=windows,
        tokens=3 * 10**9,
        context=256,
        bos_policy="first",
    )


def test_windows_read_back_as_they_were(database, world):
    with database.write() as session:
        corpus = create(session, world.model)
        add_sequences(session, corpus, ROWS)
        assert get_sequences(session, corpus, [0, 3]) == {0: ROWS[0], 3: ROWS[3]}


def test_token_ids_beyond_two_bytes_are_kept(database, world):
    row = SequenceRow.of(0, 0, 0, [0, 65_536, 256_000])
    with database.write() as session:
        corpus = create(session, world.model)
        add_sequences(session, corpus, [row])
        assert get_sequences(session, corpus, [0])[0].token_ids == [0, 65_536, 256_000]


def test_numbers_without_a_window_are_left_out(database, world):
    with database.read() as session:
        assert set(get_sequences(session, world.corpus, [0, 999])) == {0}


def test_thousands_of_windows_can_be_asked_for(database, world):
    rows = [SequenceRow.of(seq, 0, 0, [seq]) for seq in range(2_500)]
    with database.write() as session:
        corpus = create(session, world.model)
        add_sequences(session, corpus, rows)
        assert len(get_sequences(session, corpus, range(2_500))) == 2_500


def test_a_complete_corpus_is_found_by_its_fingerprint(database, world):
    with database.write() as session:
        corpus = create(session, world.model)
        add_sequences(session, corpus, ROWS)
        found = find_corpus(session, world.model, "abc")
    assert (found.id, found.tokens) == (corpus, 3 * 10**9)


def test_a_half_written_corpus_is_not_found(database, world):
    with database.write() as session:
        corpus = create(session, world.model)
        add_sequences(session, corpus, ROWS[:3])
        assert find_corpus(session, world.model, "abc") is None
        assert get_corpus(session, corpus).windows == 5


def test_an_interrupted_writer_starts_again_under_the_same_id(database, world):
    with database.write() as session:
        first = create(session, world.model)
        add_sequences(session, first, ROWS[:3])
    with database.write() as session:
        again = create(session, world.model)
        add_sequences(session, again, ROWS)
        add_sequences(session, again, ROWS)
        assert find_corpus(session, world.model, "abc").id == again == first


def test_another_fingerprint_is_another_corpus(database, world):
    with database.write() as session:
        assert create(session, world.model, fingerprint="a") != create(
            session, world.model, fingerprint="b"
        )


@pytest.mark.parametrize("fingerprint", ["", "none", "abc\x00"])
def test_an_unknown_fingerprint_finds_nothing(database, world, fingerprint):
    with database.read() as session:
        assert find_corpus(session, world.model, fingerprint) is None
