"""What is computed for drawings: histogram, token strips, the state of the table."""

import pytest
from bs4 import BeautifulSoup

from server.web.feature_samples import Drawn, turns_of
from server.web.histogram import HEIGHT, WIDTH, histogram_view
from server.web.render import Renderer
from server.web.strips import context_view
from server.web.table_query import TableQuery


def histogram(edges: list[float], counts: list[int]):
    view = histogram_view(
        {
            "histogram": {"edges": edges, "counts": counts, "zeros": 6, "tokens": 6 + sum(counts)},
            "poles": {
                "-": {"quantile_999": edges[0], "max": edges[0]},
                "+": {"quantile_999": 0.0, "max": edges[-1]},
            },
        }
    )
    assert view is not None
    return view.plot


def test_the_axis_runs_through_zero_in_the_middle():
    view = histogram([-2.0, -1.0, 0.0, 1.0, 2.0], [1, 10, 100, 1])
    sides = [(bar.side, bar.x + bar.width <= WIDTH / 2) for bar in view.bars]
    assert sides == [("neg", True), ("neg", True), ("pos", False), ("pos", False)]


def test_heights_grow_with_the_logarithm_and_one_token_is_seen():
    heights = [bar.height for bar in histogram([-1.0, 0.0, 1.0, 2.0], [1, 10, 100]).bars]
    assert heights[2] == HEIGHT
    assert 0 < heights[0] < heights[1]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.1)


def test_empty_bins_are_not_drawn():
    assert len(histogram([-1.0, 0.0, 1.0], [0, 5]).bars) == 1


def test_no_histogram_is_none():
    assert histogram_view({"histogram": None, "poles": {}}) is None


def context(activations: list[float], position: int):
    length = len(activations)
    return {
        "tokens": [f" t{place}" for place in range(length)],
        "token_ids": list(range(length)),
        "activations": activations,
        "position": position,
        "value": activations[position],
        "mean": 0.0,
        "document": 3,
    }


def test_tokens_at_zero_are_merged_and_the_rest_kept():
    view = context_view(context([0.0, 0.0, -2.0, 0.0, 1.0], 2), special_ids=(), is_whole=True)
    assert [part.text for part in view.parts] == [" t0 t1", " t2", " t3", " t4"]
    assert [part.css for part in view.parts] == ["pos-0", "neg-10", "pos-0", "pos-5"]


def test_the_line_is_cut_around_the_extreme_token():
    view = context_view(context([0.0] * 100 + [5.0] + [0.0] * 100, 100), special_ids=())
    assert view.extreme.text == " t100"
    assert "".join(part.text for part in view.left).split()[0] == "t80"
    assert "".join(part.text for part in view.right).split()[-1] == "t120"


def test_special_tokens_are_marked():
    assert context_view(context([0.0, 1.0], 1), special_ids={0}, is_whole=True).parts[0].special


def test_the_whole_text_is_plain_unless_it_is_asked_for():
    view = context_view(context([1.0, 0.0, -2.0, 0.5], 2), special_ids=())
    assert [part.text for part in view.parts] == [" t0 t1", " t2", " t3"]
    assert not any(part.value for part in view.parts)
    assert [part.value for part in (*view.left, view.extreme, *view.right)] == [1.0, 0.0, -2.0, 0.5]


def test_an_address_leaves_out_what_equals_its_default():
    query = TableQuery(search="king", two_sided=True)
    assert query.address("/x") == "/x?search=king&two_sided=1"
    assert query.address("/x", search="", two_sided=False) == "/x"


def test_the_address_of_a_state_gives_the_state_back():
    from urllib.parse import parse_qsl, urlsplit

    query = TableQuery(
        search="a & b", sort="max", order="asc", min_balance=-0.5, limit=10, after="1.0~3", start=11
    )
    said = dict(parse_qsl(urlsplit(query.address("/x")).query))
    assert TableQuery.model_validate(said) == query


@pytest.mark.parametrize(("is_turn", "said"), [(True, "+1.24 → −2.91"), (False, "−2.91")])
def test_a_turning_point_shows_what_it_turned_from(is_turn: bool, said: str):
    line = context_view(context([0.0, 1.24, -2.91], 2), special_ids=())
    template = Renderer().environment.get_template("_drawn.html")
    html = template.render(side=Drawn("-", 1, [line], is_turn), what="changes to this pole")
    assert BeautifulSoup(html, "html.parser").select_one(".kwic-value").text == said


def test_only_turning_points_are_changes():
    points = {"turns": 1, "turning_points": [context([1.0, -2.0], 1)], "intervals": []}
    view = {"poles": {"-": points, "+": {**points, "turning_points": []}}}
    assert [side.is_turn for side in turns_of(view, ())] == [True, True]
