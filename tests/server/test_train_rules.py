"""Which SAEs a sweep means, and which trainings are refused before anything is loaded."""

from functools import partial

import pytest

from server.protocol import TrainRequest
from server.protocol.axis import AxisRequest
from server.protocol.files import ImportRequest
from server.train_rules import Variant, check_given, check_training, variants


def ask(**fields: object) -> TrainRequest:
    return TrainRequest.model_validate({"text": "x.txt", "width": 64, "k": 4} | fields)


def test_one_training_is_one_variant() -> None:
    assert variants(ask(sae="topk")) == [Variant("topk", 4, None, 0)]


def test_lists_are_combined_and_do_not_multiply_what_they_do_not_touch() -> None:
    found = variants(ask(sae=["abstopk", "relu"], k=[4, 8], seed=[0, 1], sparsity_weight=[0.1, 1]))

    assert found == [
        *(Variant("abstopk", k, None, seed) for k in (4, 8) for seed in (0, 1)),
        *(Variant("relu", None, weight, seed) for weight in (0.1, 1) for seed in (0, 1)),
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"k": 65}, "k 65 is larger than width 64"),
        ({"k": [4, 99], "sae": ["relu", "topk"]}, "k 99 is larger"),
        ({"seed": [1, 1]}, "--seed names a value twice"),
        ({"seed": list(range(60)), "k": [1, 2]}, "120 SAEs"),
        ({"prefixes": [16, 32]}, "end at --width 64"),
        ({"prefixes": [32, 16, 64]}, "must rise"),
        ({"threshold": 0.1}, "--threshold has no meaning for --sae abstopk"),
        (
            {"sparsity_weight": 0.1, "sae": ["topk", "batchtopk"]},
            "--sparsity-weight has no meaning",
        ),
        ({"sample": False}, "--no-sample has no meaning"),
        ({"sigma": "fixed", "sae": "relu"}, "--sigma has no meaning"),
        ({"by_magnitude": True}, "--by-magnitude has no meaning"),
        ({"sae": "vsae", "rectify": True, "by_magnitude": True}, "choose one"),
        ({"keep_sinks": True, "outlier_norm": 5}, "--outlier-norm has no meaning"),
        ({"batch": 100, "processes": 3}, "multiple of 3"),
        ({"precision": "candidates", "sae": ["relu", "vsae"]}, "--precision has no meaning for"),
        ({"name": 185 * "x", "k": [1, 2], "seed": [10**9, 2]}, "more than 200"),
        ({"name": 96 * "é", "k": [1, 2], "seed": [10**9, 2]}, r"has 210 bytes with '-k1-seed1000"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_training(ask(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"sae": "relu", "k": 999},  # relu has no k
        {"sae": ["abstopk", "jumprelu"], "threshold": 0.2, "sparsity_weight": 0.1},
        {"sae": ["vsae", "topk"], "sample": False, "rectify": True},
        {"prefixes": [8, 64], "token_bias": True},
        {"batch": 100, "processes": 4, "outlier_norm": 3.5},
        {"precision": "candidates", "sae": ["relu", "topk"]},
        {"name": 100 * "é"},
    ],
)
def test_what_makes_sense_is_not(fields: dict) -> None:
    check_training(ask(**fields))


@pytest.mark.parametrize("sae", ["relu", ["jumprelu", "soft_threshold"]])
def test_a_k_that_was_asked_for_is_one_that_somebody_needs(sae: object) -> None:
    with pytest.raises(ValueError, match=r"--k has no meaning for --sae .*, only for topk"):
        check_given(ask(sae=sae))
    check_given(TrainRequest.model_validate({"text": "x.txt", "sae": sae}))
    check_given(ask(sae=["relu", "topk"]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "at least 1 character"),
        ("  ", "the name is empty"),
        ("a/b", "cannot be a folder"),
        (".hidden", "cannot be a folder"),
        ("a\0b", "cannot be a folder"),
        (150 * "é", "has 300 bytes"),
    ],
)
@pytest.mark.parametrize(
    "message",
    [
        partial(TrainRequest, text="x.txt"),
        partial(ImportRequest, source="x"),
        partial(AxisRequest, contrast="size"),
    ],
)
def test_what_no_folder_can_be_called_is_no_name(message: partial, name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        message(name=name)


@pytest.mark.parametrize(
    "fields",
    [
        {"k": 0},
        {"seed": 2**32},
        {"seed": [0, -1]},
        {"k": []},
        {"sae": "best"},
        {"sae": ["topk", "best"]},
        {"device": "tpu"},
        {"lr": 0},
    ],
)
def test_messages_refuse_values_out_of_range(fields: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        ask(**fields)


def test_a_request_survives_its_row_in_the_table() -> None:
    request = ask(sae=["abstopk", "vsae"], k=[1, 2], seed=3, prefixes=[64])

    assert TrainRequest.model_validate_json(request.model_dump_json()) == request
