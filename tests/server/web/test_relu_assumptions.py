"""Habits of one-sided viewers that hide or miscount whatever is below zero: each must stay out.

Every test names the habit. The world's feature 2 fires only below zero; feature 0 on both sides.
"""

import pytest
from fastapi.testclient import TestClient

from frontend.filters import ladder, signed
from server.web.contrast_view import ContrastQuery
from tests.server.web.conftest import Page
from tests.server.web.fake_worker import FakeWorker, activation

NEGATIVE = "/sae/1/feature/2"


def feature(client: TestClient, path: str = NEGATIVE) -> dict:
    response = client.get(f"{path}.json")
    assert response.status_code == 200
    return response.json()


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def test_contexts_are_not_kept_by_max_above_zero(page: Page, client: TestClient):
    stored = feature(client)["poles"]["-"]["contexts"]
    half = page(NEGATIVE).select_one(".half-neg")
    assert len(half.select("ol[data-by=extreme] > li")) == len(stored) > 0
    assert all(context["value"] < 0 for context in stored)


@pytest.mark.parametrize("value", [-1e-6, -5e-5, -1e-3])
def test_a_small_negative_value_is_not_taken_for_zero(value: float):
    assert ladder(value, 1.0) == "neg-1"
    assert signed(value, 3) in ("0.000", "−0.001")  # plain "0" is exactly zero


def test_a_token_below_zero_has_its_value_and_its_colour(page: Page):
    tokens = page(NEGATIVE).select(".half-neg .tok[data-value]")
    assert tokens
    assert all(number(token["data-value"]) < 0 for token in tokens)
    assert all(any(name.startswith("neg-") for name in token["class"]) for token in tokens)


def test_a_feature_that_is_never_positive_is_not_dead(page: Page, client: TestClient):
    found = feature(client)
    assert found["density"]["-"] > found["density"]["+"] == 0
    facts = page(NEGATIVE).select_one(".facts").text
    assert "never fired" not in facts
    assert "dead" not in page(NEGATIVE).select_one("main").text.lower()


def test_its_largest_magnitude_is_not_zero_in_the_table(client: TestClient):
    rows = client.get("/sae/1/features.json?sort=max&limit=32").json()["features"]
    magnitudes = {row["feature"]: max(abs(row["max"]["+"]), abs(row["max"]["-"])) for row in rows}
    order = [row["feature"] for row in rows]
    assert magnitudes[2] > 0
    assert [magnitudes[entry] for entry in order] == sorted(magnitudes.values(), reverse=True)


def test_features_of_a_text_are_ranked_by_magnitude(client: TestClient, worker: FakeWorker):
    found = client.get("/prompt.json?sae=1&text=one+two+three+four+five&rank=abs").json()
    sizes = [max(map(abs, entry["activations"])) for entry in found["features"]]
    assert sizes == sorted(sizes, reverse=True)
    assert any(min(entry["activations"]) < 0 for entry in found["features"][:2])
    assert worker.prompts[-1].rank == "abs"


def test_the_sum_over_a_text_does_not_cancel(client: TestClient):
    address = "/prompt.json?sae=1&text=one+two+three+four+five&rank=sum_abs"
    for entry in client.get(address).json()["features"]:
        assert entry["sum_abs"] == pytest.approx(sum(map(abs, entry["activations"])))


def test_neighbours_that_point_the_other_way_are_returned(page: Page, client: TestClient):
    neighbours = feature(client, "/sae/1/feature/0")["neighbours"]
    assert [entry["cosine"] < 0 for entry in neighbours["opposed"]] == [True, True]
    shown = page("/sae/1/feature/0").select_one("main").text
    assert "−0.75" in shown


def test_steering_goes_to_the_side_on_which_the_feature_fires(page: Page):
    buttons = page(NEGATIVE).select("button[name=strength]")
    enabled = [float(button["value"]) for button in buttons if not button.has_attr("disabled")]
    assert len(enabled) == 2
    assert max(enabled) < 0


def test_steering_strengths_lie_on_both_sides_of_a_two_sided_feature(page: Page):
    buttons = page("/sae/1/feature/0").select("button[name=strength]")
    signs = [float(button["value"]) > 0 for button in buttons]
    assert signs == [False, False, True, True]


@pytest.mark.parametrize("number_of", [0, 1, 2])
def test_histogram_and_density_count_the_same_tokens(client: TestClient, number_of: int):
    found = feature(client, f"/sae/1/feature/{number_of}")
    histogram, density = found["histogram"], found["density"]
    below = sum(
        count
        for low, count in zip(histogram["edges"], histogram["counts"], strict=False)
        if low < 0
    )
    above = sum(histogram["counts"]) - below
    assert below / histogram["tokens"] == pytest.approx(density["-"])
    assert above / histogram["tokens"] == pytest.approx(density["+"])
    assert below + above + histogram["zeros"] == histogram["tokens"]


def test_the_histogram_has_as_much_room_below_zero_as_above(page: Page):
    figure = page(NEGATIVE).select_one(".histogram-figure svg")
    width = float(figure["viewbox"].split()[2])
    bars = figure.select("rect.bar-neg")
    assert bars
    assert figure.select("rect.bar-pos") == []
    assert all(float(bar["x"]) + float(bar["width"]) <= width / 2 for bar in bars)


def test_the_scale_of_a_negative_only_feature_is_its_own(page: Page, client: TestClient):
    poles = feature(client)["poles"]
    assert poles["+"]["quantile_999"] == poles["+"]["max"] == 0
    assert poles["-"]["quantile_999"] < 0
    strongest = page(NEGATIVE).select_one(".half-neg .kwic > .tok.extreme")
    assert "neg-10" in strongest["class"]


def test_a_flipped_negative_only_feature_is_the_same_feature_mirrored(client: TestClient):
    straight, flipped = feature(client), client.get(f"{NEGATIVE}.json?pole=-").json()
    assert flipped["poles"]["+"]["max"] == -straight["poles"]["-"]["max"] > 0
    assert flipped["density"]["+"] == straight["density"]["-"]


def test_steering_opens_on_a_negative_only_feature_with_a_scale(page: Page):
    slider = page("/steer?sae=1&feature=2").select_one("input[type=range]")
    assert float(slider["min"]) < 0
    assert float(slider["max"]) >= 0


def test_the_test_box_has_values_on_both_sides(client: TestClient):
    found = client.get("/prompt.json?sae=1&text=a+b+c+d+e+f&rank=abs&limit=8").json()
    entries = {entry["feature"]: entry["activations"] for entry in found["features"]}
    assert entries[1] == [activation(1, place) for place in range(len(entries[1]))]
    assert min(entries[1]) < 0 <= max(entries[1])


def test_the_csv_keeps_the_sign(client: TestClient):
    head, *lines = client.get("/sae/1/features.csv").text.splitlines()
    row = dict(zip(head.split(","), lines[2].split(","), strict=False))
    assert row["feature"] == "2"
    assert float(row["max_neg"]) < 0 == float(row["max_pos"])


def test_two_ends_are_asked_in_the_order_given():
    query = ContrastQuery(1, "ends", "a", "b")
    assert (query.request().a, query.request().b) == (["a"], ["b"])
    assert "a=b&b=a" in query.swapped()


def test_a_token_lists_first_what_is_strongest_on_it_of_either_sign(client: TestClient):
    address = "/prompt.json?sae=1&text=one+two+three+four+five&token=4"
    on_it = [entry["activations"][4] for entry in client.get(address).json()["features"]]
    assert [abs(value) for value in on_it] == sorted(map(abs, on_it), reverse=True)
    assert min(on_it) < 0 < max(on_it)


def test_intervals_reach_below_zero_and_are_sampled_there(client: TestClient):
    poles = feature(client, "/sae/1/feature/0")["poles"]
    below, above = poles["-"]["intervals"], poles["+"]["intervals"]
    assert [(entry["near"], entry["far"]) for entry in below] == [
        (-entry["near"], -entry["far"]) for entry in above
    ]
    samples = [context for entry in below for context in entry["contexts"]]
    assert samples
    assert all(context["activations"][context["position"]] < 0 for context in samples)


def test_a_feature_that_fires_only_below_zero_counts_as_live(client: TestClient):
    rows = client.get("/sae/1/features.json?limit=32").json()["features"]
    live = sum(row["firings"]["+"] + row["firings"]["-"] > 0 for row in rows)
    assert rows[2]["firings"]["+"] == 0 < rows[2]["firings"]["-"]
    found = next(entry for entry in client.get("/saes.json").json()["saes"] if entry["id"] == 1)
    assert found["live"] == pytest.approx(live / 32)
