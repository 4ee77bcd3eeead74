import json

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.store.explanations import ExplanationRecord, write_explanation
from server.store.session import Database
from server.web.flip import flip_feature

values = st.floats(allow_nan=False, allow_infinity=False, width=32)
words = st.text(max_size=6)
labels = st.lists(words, min_size=1, max_size=3).map(" ↔ ".join)
logits = st.lists(st.fixed_dictionaries({"token": words, "logit": values}), max_size=3)
neighbours = st.lists(
    st.fixed_dictionaries({"feature": st.integers(0, 9), "cosine": values, "label": words}),
    max_size=3,
)


@st.composite
def contexts(draw):
    activations = draw(st.lists(values, min_size=1, max_size=5))
    return {
        "tokens": ["x"] * len(activations),
        "token_ids": [1] * len(activations),
        "activations": activations,
        "position": 0,
        "value": activations[0],
        "mean": draw(values),
        "document": 0,
    }


poles = st.fixed_dictionaries(
    {
        "label": words,
        "quantiles": st.lists(
            st.fixed_dictionaries({"share": values, "value": values}), max_size=3
        ),
        "label_words": st.lists(st.fixed_dictionaries({"word": words, "lift": values}), max_size=2),
        "token_statistics": st.lists(
            st.fixed_dictionaries({"token": words, "mean": values, "lift": values}), max_size=2
        ),
        "intervals": st.lists(
            st.fixed_dictionaries(
                {
                    "near": values,
                    "far": values,
                    "firings": st.integers(0, 9),
                    "contexts": st.lists(contexts(), max_size=1),
                }
            ),
            max_size=2,
        ),
        "turns": st.integers(0, 9),
        "turning_points": st.lists(contexts(), max_size=2),
        "max": values,
        "quantile_999": values,
        "promoted": logits,
        "suppressed": logits,
        "contexts": st.lists(contexts(), max_size=2),
        "contexts_by_mean": st.lists(contexts(), max_size=2),
    }
)
histograms = st.fixed_dictionaries(
    {
        "edges": st.lists(values, max_size=5),
        "counts": st.lists(st.integers(0, 9), max_size=4),
        "zeros": st.just(3),
        "tokens": st.just(9),
    }
)
logit_histograms = st.fixed_dictionaries(
    {
        "edges": st.lists(values, max_size=5),
        "counts": st.lists(st.integers(0, 9), max_size=4),
    }
)
partners = st.lists(
    st.fixed_dictionaries(
        {
            "feature": st.integers(0, 9),
            "same_sign": st.integers(0, 9),
            "opposite_sign": st.integers(0, 9),
        }
    ),
    max_size=3,
)
explanations = st.fixed_dictionaries(
    {
        "axis": labels,
        "poles": st.fixed_dictionaries({"+": words, "-": words}),
        "detection": st.fixed_dictionaries({"+": st.none() | values, "-": st.none() | values}),
        "sign": st.none() | values,
    }
)
views = st.fixed_dictionaries(
    {
        "feature": st.integers(0, 9),
        "label": labels,
        "pole": st.sampled_from("+-"),
        "pole_balance": st.none() | values,
        "opposition": st.none() | values,
        "density": st.fixed_dictionaries({"+": values, "-": values}),
        "firings": st.fixed_dictionaries({"+": st.integers(0, 9), "-": st.integers(0, 9)}),
        "histogram": st.none() | histograms,
        "logits": st.none() | logit_histograms,
        "neighbours": st.fixed_dictionaries({"aligned": neighbours, "opposed": neighbours}),
        "together": st.none()
        | st.fixed_dictionaries({"sampled": st.just(9), "features": partners}),
        "explanation": st.none() | explanations,
        "poles": st.fixed_dictionaries({"+": poles, "-": poles}),
    }
)


patiently = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patiently
@given(views)
def test_flipping_twice_gives_identical_json(view):
    twice = flip_feature(flip_feature(view))
    assert json.dumps(twice, sort_keys=True) == json.dumps(view, sort_keys=True)


@patiently
@given(views)
def test_values_negate_and_labels_swap(view):
    flipped = flip_feature(view)
    for pole, other in (("+", "-"), ("-", "+")):
        assert flipped["poles"][pole]["label"] == view["poles"][other]["label"]
        assert flipped["poles"][pole]["max"] == -view["poles"][other]["max"]
        for now, before in zip(
            flipped["poles"][pole]["contexts"], view["poles"][other]["contexts"], strict=True
        ):
            assert now["activations"] == [-value for value in before["activations"]]


@pytest.mark.parametrize(
    ("axis", "minus", "plus", "flipped"),
    [
        ("cold ↔ hot", "frost", "heat", "hot ↔ cold"),
        ("from cold to hot", "frost", "heat", "heat ↔ frost"),
        ("y ↔ x ↔", "frost", "heat", "heat ↔ frost"),
        ("temperature", "frost ↔", "a ↔", "a ↔ frost"),
        ("", "frost", "", ""),
    ],
)
def test_the_axis_of_an_explanation_turns_and_turns_back(
    client: TestClient, sqlite_database: Database, axis: str, minus: str, plus: str, flipped: str
):
    record = ExplanationRecord(1, 4, "m", plus, minus, axis, None, None, None, None, 0)
    with sqlite_database.write() as session:
        write_explanation(session, record)
    straight = client.get("/sae/1/feature/4.json").json()
    turned = client.get("/sae/1/feature/4.json?pole=-").json()
    assert turned["explanation"]["axis"] == flipped
    assert flip_feature(turned) == straight


def test_logits_of_a_pole_negate_exactly(client: TestClient):
    straight = client.get("/sae/1/feature/0.json").json()["poles"]["+"]
    flipped = client.get("/sae/1/feature/0.json?pole=-").json()["poles"]["+"]
    assert flipped["promoted"] == [
        {"token": entry["token"], "logit": -entry["logit"]} for entry in straight["suppressed"]
    ]
    assert flipped["suppressed"] == [
        {"token": entry["token"], "logit": -entry["logit"]} for entry in straight["promoted"]
    ]


def test_a_plus_sign_in_the_address_means_plus_even_unescaped(client: TestClient):
    assert client.get("/sae/1/feature/0.json?pole=+").json()["pole"] == "+"


def test_the_neighbours_of_the_negation_are_the_opposed_ones(client: TestClient):
    straight = client.get("/sae/1/feature/0.json").json()["neighbours"]
    flipped = client.get("/sae/1/feature/0.json?pole=-").json()["neighbours"]
    assert [entry["feature"] for entry in flipped["aligned"]] == [
        entry["feature"] for entry in straight["opposed"]
    ]
    assert all(entry["cosine"] > 0 for entry in flipped["aligned"])
