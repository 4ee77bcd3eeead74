import json
import math
from urllib.parse import unquote

import pytest
from sqlalchemy import update

from server.store.session import Database
from server.store.tables import Sae
from server.web.responses import AT_ONCE, attachment, column_pieces, csv_response
from tests.builders import World


@pytest.mark.parametrize(
    "name", ["Merkmale größer", "признаки", 'a"b\\c', "a\r\nset-cookie: x", "\udcff"]
)
def test_a_file_of_any_name_can_be_downloaded(name: str):
    header = csv_response(name, ("a",), [(1,)]).headers["content-disposition"]
    plain, _, exact = header.partition("; filename*=UTF-8''")
    assert plain.isascii()
    assert plain.count('"') == 2
    assert "\n" not in header
    assert unquote(exact) == f"{name}.csv".replace("\udcff", "?")


def test_a_plain_name_stays_as_it_is():
    assert attachment("saes.csv") == "attachment; filename=\"saes.csv\"; filename*=UTF-8''saes.csv"


def test_an_sae_with_a_name_in_another_script_has_tables(
    client, sqlite_world: World, sqlite_database: Database
):
    with sqlite_database.write() as session:
        session.execute(update(Sae).where(Sae.id == sqlite_world.abstopk).values(name="признаки"))
    assert client.get(f"/sae/{sqlite_world.abstopk}/features.csv").status_code == 200


def test_columns_in_pieces_are_one_json_object():
    long = [float(number) / 3 if number % 7 else None for number in range(AT_ONCE + 5)]
    columns = {"name": ["a\ud800", "−"], "share": long, "count": [1, 2], "none": []}
    text = "".join(column_pieces({"items": 2}, columns))
    body = json.loads(text)
    assert body["items"] == 2
    assert {name: body["columns"][name] for name in ("name", "count", "none")} == {
        "name": ["a\ud800", "−"],
        "count": [1, 2],
        "none": [],
    }
    assert body["columns"]["share"] == [
        None if each is None else float(f"{each:.6g}") for each in long
    ]
    assert text.isascii()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_columns_hold_no_number_that_json_lacks(value: float):
    with pytest.raises(ValueError, match="JSON"):
        "".join(column_pieces({}, {"x": [1.0, value]}))
