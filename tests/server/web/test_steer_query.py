"""The address of the steering page: read, refused, and written again without loss."""

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from server.protocol import Edit
from server.web.steer_query import SteerQuery, parse_edit, write_edit
from tests.server.web.conftest import Page
from tests.server.web.fake_worker import FakeWorker

TWO = "/steer.json?sae=1&feature=0&strength=2&edit=3.0.project.-1.5&edit=1.4.scale.0.minus"


@given(
    sae=st.sampled_from(["1", "23", "my.sae-2.5", "a b"]),
    feature=st.integers(0, 10**6),
    operation=st.sampled_from(["add", "clamp", "scale", "project"]),
    strength=st.sampled_from([0.0, -2.5, 1e-7, 9999.0, 3.14159]),
    pole=st.sampled_from(["both", "+", "-"]),
)
def test_an_edit_survives_the_address(sae, feature, operation, strength, pole):
    edit = Edit(sae=sae, feature=feature, operation=operation, strength=strength, pole=pole)
    assert parse_edit(write_edit(edit)) == edit


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.2.add", "1.2.push.3", "1.x.add.3", "1.2.add.nan", "1.2.add.1e9", "1.2.add.3.up"],
)
def test_an_edit_that_cannot_be_read_is_a_sentence_with_an_example(client: TestClient, text: str):
    response = client.get("/steer.json", params={"sae": 1, "feature": 0, "edit": text})
    assert response.status_code == 422
    assert "such as 1.23.add.-2.5" in response.json()["detail"]


def test_an_address_leaves_out_what_is_so_by_default():
    query = SteerQuery(sae="1", feature=2, strength=3.0, edit=["1.4.add.1.0"], positions="last")
    address = query.address("/steer")
    assert address.startswith("/steer?sae=1&feature=2&strength=3.0&edit=1.4.add.1.0")
    assert "positions=last" in address
    assert not {"operation=", "pole=", "open=", "wanted="} & set(address.replace("&", "& ").split())


def test_several_edits_of_several_saes_are_in_the_state_and_in_the_request(client: TestClient):
    state = client.get(TWO).json()
    assert [(edit["sae"], edit["feature"], edit["operation"]) for edit in state["edits"]] == [
        (1, 0, "add"),
        (3, 0, "project"),
        (1, 4, "scale"),
    ]
    assert state["edits"][2]["pole"] == "-"
    assert state["edits"][1]["poles"]["+"]["quantile_999"] > 0
    assert [edit["strength"] for edit in state["request"]["edits"]] == [2.0, -1.5, 0.0]


def test_the_request_of_the_twin_is_taken_by_the_api(client: TestClient, worker: FakeWorker):
    request = client.get(TWO).json()["request"]
    assert client.post("/api/steer", json=request).status_code == 200
    assert worker.steers[0].table == [[2.0, -1.5, 0.0]]


def test_every_edit_has_a_slider_and_a_way_to_be_removed(page: Page):
    soup = page(TWO.replace(".json", ""))
    assert [slider["min"] for slider in soup.select("[data-role=slider]")] == ["-4", "-4", "-3"]
    removed = [link["href"] for link in soup.select("[data-role=remove]")]
    assert "edit=3.0" not in removed[0]
    assert "edit=1.4.scale" in removed[0]
    assert "edit=3.0.project" in removed[1]
    assert "edit=1.4" not in removed[1]


def test_an_edit_without_its_feature_is_left_out_and_said(page: Page):
    soup = page("/steer?sae=1&feature=0&edit=1.31.add.1&edit=3.29.add.1")
    assert "no indexed feature 29" in soup.select_one("[role=alert]").text
    assert len(soup.select("[data-role=slider]")) < 3


def test_scale_starts_by_swapping_the_poles(page: Page):
    slider = page("/steer?sae=1&feature=0&operation=scale").select_one("#slider")
    assert (slider["min"], slider["max"], float(slider["value"])) == ("-3", "3", -1.0)


def test_what_is_unfolded_is_in_the_address(page: Page):
    soup = page("/steer?sae=1&feature=0&open=sweep.words")
    assert [part["data-name"] for part in soup.select("details[open]")] == ["sweep", "words"]
