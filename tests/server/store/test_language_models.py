import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.store.language_models import (
    Vocabularies,
    get_model,
    list_models,
    upsert_model,
    vocabulary_of,
)

SHAPE = {"source": "here", "family": "gpt_neox", "d_in": 8, "layers": 2, "parameters": 7 * 10**9}
hostile_strings = st.text(
    st.characters(exclude_categories=[])
    | st.sampled_from("\x00\x01\x1b\x7f\ud800\udfff\u202e<>&'\"")
)


def test_a_model_reads_back(database):
    with database.write() as session:
        created = upsert_model(session, name="m", vocabulary=["a"], bos_token_id=0, **SHAPE)
        model = get_model(session, created)
    assert (model.name, model.parameters, model.bos_token_id) == ("m", 7 * 10**9, 0)
    assert model.is_demo is False


def test_a_model_of_the_same_name_is_brought_up_to_date_under_its_id(database):
    with database.write() as session:
        first = upsert_model(session, name="m", vocabulary=["a"], **SHAPE)
        second = upsert_model(session, name="m", vocabulary=["b"], **{**SHAPE, "layers": 4})
        assert second == first
        assert [model.layers for model in list_models(session)] == [4]
        assert vocabulary_of(session, first) == ["b"]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
@given(vocabulary=st.lists(hostile_strings))
def test_token_strings_come_back_exactly_whatever_they_hold(database, vocabulary):
    # Two surrogates in a row are one character in JSON; no tokenizer yields such a string.
    vocabulary = [
        token.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        for token in vocabulary
    ]
    with database.write() as session:
        created = upsert_model(session, name="m", vocabulary=vocabulary, **SHAPE)
    with database.read() as session:
        assert vocabulary_of(session, created) == vocabulary


@pytest.mark.parametrize("name", ["12", "a/b", "modèle", "' OR 1=1 --", "nul\x00", "half\ud800"])
def test_a_model_is_found_by_its_name(database, name):
    with database.write() as session:
        created = upsert_model(session, name=name, vocabulary=[], **SHAPE)
        assert get_model(session, name).id == created


def test_digits_are_a_name_before_they_are_an_id(database):
    with database.write() as session:
        first = upsert_model(session, name="first", vocabulary=[], **SHAPE)
        assert get_model(session, str(first)).name == "first"
        upsert_model(session, name=str(first), vocabulary=[], **SHAPE)
        assert get_model(session, str(first)).name == str(first)


@pytest.mark.parametrize("key", ["nobody", "", 0, -1, 99, 2**31, 2**70, "9" * 50, "²", "1.5"])
def test_a_key_of_no_model_finds_none(database, world, key):
    with database.read() as session:
        assert get_model(session, key) is None


def test_the_vocabulary_of_no_model_is_an_error(database):
    with database.read() as session, pytest.raises(ValueError, match="no model has the id 5"):
        vocabulary_of(session, 5)


def test_a_vocabulary_is_parsed_once(database, world):
    vocabularies = Vocabularies()
    with database.read() as session:
        first = vocabularies.of(session, world.model)
        assert vocabularies.of(session, world.model) is first
    assert first == list(world.vocabulary)


def test_a_changed_vocabulary_is_read_again(database):
    vocabularies = Vocabularies()
    with database.write() as session:
        model = upsert_model(session, name="m", vocabulary=["old"], **SHAPE)
        vocabularies.of(session, model)
        upsert_model(session, name="m", vocabulary=["new"], **SHAPE)
        assert vocabularies.of(session, model) == ["new"]


def test_only_the_vocabularies_used_last_are_held(database):
    vocabularies = Vocabularies(most=2)
    with database.write() as session:
        models = [upsert_model(session, name=n, vocabulary=[n], **SHAPE) for n in "abc"]
        held = vocabularies.of(session, models[0])
        vocabularies.of(session, models[1])
        vocabularies.of(session, models[0])
        vocabularies.of(session, models[2])
        assert vocabularies.of(session, models[0]) is held
