from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient

from models.concepts.contrasts import load_contrasts
from models.effects.band import Limits
from server.protocol.concepts import (
    AucFigure,
    ConceptRequest,
    ConceptResponse,
    DimFound,
    EffectRow,
    PairFound,
    SingleFound,
    SteeringFound,
)
from server.web.pages.concept import CONTRASTS
from server.web.worker_client import WorkerUnavailable
from tests.server.web.conftest import Page
from tests.server.web.fake_worker import FakeWorker


def effect(way: str, slope: float) -> EffectRow:
    shares = [-0.2, -0.1, 0.0, 0.1, 0.2]
    return EffectRow.model_validate(
        {
            "way": way,
            "shares": shares,
            "log_odds": [slope * share for share in shares],
            "loss_rise": [abs(share) for share in shares],
            "kl": [share**2 for share in shares],
            "written_loss_rise": [2 * abs(share) for share in shares],
            "repetition_rise": [0.0 for share in shares],
            "safe": [False, True, True, True, True],
            "is_monotonic": slope > 0,
        }
    )


def figure(value: float) -> AucFigure:
    return AucFigure(value=value, low=value - 0.1, high=min(1.0, value + 0.1), texts=20)


ANSWER = ConceptResponse(
    sae=1,
    side_a="hot",
    side_b="cold",
    texts=40,
    train_texts=20,
    single=SingleFound(feature=3, sign=-1, train_auc=0.9, auc=figure(0.52), both_signs=0.4),
    steering=SteeringFound(feature=7, sign=1, effect=0.5),
    pair=PairFound(a=3, pole_a="-", b=5, pole_b="+", train_auc=0.9, auc=figure(0.8)),
    dim=DimFound(train_auc=1.0, auc=figure(0.99), cosine_to_single=-0.2),
    null_95=0.6,
    words_a=[" hot", " <b>"],
    words_b=[" cold"],
    prompts=12,
    effects=[effect("single", -2), effect("steering", 3), effect("dim", 5)],
    problem="",
)


@pytest.fixture(autouse=True)
def answer(worker: FakeWorker) -> None:
    worker.answers["/concept"] = ANSWER


def address(path: str = "/concept", **query: object) -> str:
    return f"{path}?{urlencode({'sae': 1, **query})}"


def test_the_names_on_the_page_are_the_built_in_contrasts():
    assert set(CONTRASTS) == set(load_contrasts())


def test_a_figure_stands_with_its_interval_and_its_null(page: Page):
    cards = page(address(contrast="temperature")).select(".concept-card")
    assert [card.h3.text for card in cards] == [
        "best single feature", "best pair of one-sided features", "Difference-in-Mean",
    ]  # fmt: skip
    assert "[0.42, 0.62]" in cards[0].text
    assert [bool(card.select(".badge")) for card in cards] == [True, False, False]


def test_the_single_feature_says_which_pole_is_a(page: Page):
    card = page(address(contrast="temperature")).select_one(".concept-card")
    assert "its − pole is hot" in card.text
    assert "right sign on at least 40 % of each side" in card.text
    assert card.a["href"] == "/sae/1/feature/3"


def test_effect_and_cost_stand_together_and_what_fails_says_no(page: Page):
    rows = page(address(contrast="temperature")).select("table tbody tr")
    assert [row.th.text for row in rows][::2] == [
        "best single feature, 3 steer by it",
        "best feature for steering, 7 steer by it",
        "Difference-in-Mean",
    ]
    assert [row.td.text for row in rows][::2] == ["fails", "yes", "yes"]
    assert rows[2].a["href"] == "/steer?sae=1&feature=7"
    assert [cell.text for cell in rows[2].select("td.num")] == [
        "−0.60",
        "−0.30",
        "0",
        "+0.30",
        "+0.60",
    ]
    assert "−0.10 to +0.20" in rows[0].text
    assert ["beyond" in cell["class"] for cell in rows[0].select("td.num")] == [True, *[False] * 4]


def test_a_sentence_says_what_the_chosen_feature_does_beside_dim(page: Page):
    text = page(address(contrast="temperature")).text
    assert "Feature 7, chosen on train prompts, moves the words of hot up on one side" in text
    assert "−0.30 / +0.60 nats" in text
    assert "Difference-in-Mean: −0.50 / +1.00." in text


def test_the_limits_on_the_page_are_the_sliders(page: Page):
    limits = Limits()
    text = page(address(contrast="temperature")).text
    assert f"KL of the next token up to {limits.kl:g} nats" in text
    assert f"up to {limits.loss:g} nats a token more" in text
    assert f"up to {100 * limits.repetition:g} % more" in text


def test_lines_differ_by_dash_as_well_as_by_colour(page: Page):
    lines = page(address(contrast="temperature")).select_one("svg.effect").select(".line")
    assert len({line.get("stroke-dasharray") for line in lines}) == len(lines) == 3


def test_each_line_of_a_list_is_a_text(page: Page, worker: FakeWorker):
    a, b = ("\n".join(f"{side} {n}" for n in range(8)) for side in "ab")
    page(address(a=a, b=b + "\n\n"))
    request = worker.questions[-1][1]
    assert isinstance(request, ConceptRequest)
    assert (len(request.a), len(request.b), request.contrast) == (8, 8, None)


@pytest.mark.parametrize("query", [{"a": "one", "b": "two"}, {"a": "x\n" * 8, "b": "y\n" * 401}])
def test_lists_of_a_wrong_length_are_a_sentence(client: TestClient, query: dict[str, str]):
    response = client.get(address("/concept.json", **query))
    assert response.status_code == 422
    assert "texts" in response.json()["detail"]


def test_the_csv_has_a_row_per_way_and_strength(client: TestClient):
    lines = client.get(address("/concept.csv", contrast="size")).text.splitlines()
    assert len(lines) == 1 + 3 * 5


def test_a_bare_page_offers_the_contrasts_and_asks_nothing(page: Page, worker: FakeWorker):
    assert len(page(address()).select(".empty a")) == 7
    assert worker.questions == []


def test_a_worker_that_is_away_is_a_sentence(client: TestClient, worker: FakeWorker):
    worker.error = WorkerUnavailable()
    response = client.get(address(contrast="size"))
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")


def test_words_are_text(client: TestClient):
    assert "<code> <b>" not in client.get(address(contrast="size")).text
