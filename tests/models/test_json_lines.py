"""What stands in a line of JSON, or what is wrong with it."""

from pathlib import Path

import pytest

from models.json_lines import read_json_lines


def test_lines_without_text_are_left_out() -> None:
    lines = ['{"text": "One."}\n', "\n", '{"text": null}\n', '{"text": " "}\n', '{"text": "Two."}']
    assert list(read_json_lines(lines, Path("a.jsonl"), "text")) == ["One.", "Two."]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"text": 5}', "line 2 has a number"),
        ('{"text": ["a"]}', "line 2 has a list"),
        ('{"text": false}', "line 2 has true or false"),
        ('{"text": {}}', "line 2 has an object"),
        ('["text"]', "line 2 is not an object"),
        ('{"text": "a"', "line 2 is not JSON .* at character"),
        pytest.param("[" * 100_000, "line 2 is nested too deeply", id="deep"),
        pytest.param(
            f'{{"text": "a", "n": {"1" * 5_000}}}', "line 2 has a number of too many", id="digits"
        ),
    ],
)
def test_a_line_that_holds_no_text_is_named_with_what_it_holds(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=rf"a\.jsonl {words}"):
        list(read_json_lines(['{"text": "One."}\n', line + "\n"], Path("a.jsonl"), "text"))
