"""The command line: which commands and flags there are, and what a failure looks like.

Does not know how a command does its work, and imports no torch: `dipole --help` is quick.
Exit status: 0 done, 1 failed, 2 what was asked makes no sense, 130 interrupted.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from server.cli_axis import add_axis
from server.cli_evaluate import add_evaluate
from server.cli_explain import add_explain
from server.cli_files import add_file_commands
from server.cli_output import print_complaint, print_json, print_line, sentence_of
from server.cli_runs import index, job, map_sae
from server.cli_serve import WORKER_PORT, demo, serve, worker
from server.cli_train import add_train_flags, train
from server.protocol import IndexRequest, MapRequest, Message, TrainRequest
from server.settings import VARIABLES, Settings

TEXT_KINDS = "a .txt, .jsonl or .parquet file, hf:NAME[/CONFIG][:SPLIT], or - for standard input"
Command = Callable[[Settings, argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are ValueErrors, reported like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        raise ValueError(f"{message}; see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status. Only --debug lets an exception through."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = build_parser().parse_args(words)
        _start_log()
        return arguments.run(_read_settings(arguments), arguments)
    except KeyboardInterrupt:
        return _complain(130, "interrupted", words)
    except ValueError as error:
        return _complain(2, sentence_of(error), words, error)
    except (OSError, RuntimeError) as error:
        return _complain(1, sentence_of(error), words, error)
    except Exception as error:
        sentence = f"unexpected {type(error).__name__}: {sentence_of(error)}"
        return _complain(1, f"{sentence} (--debug shows where)", words, error)


def migrate(settings: Settings, arguments: argparse.Namespace) -> int:
    """Bring the database to the newest schema."""
    from server.store.migrate import migrate as migrate_database

    migrate_database(settings.database_url)
    if arguments.json:
        print_json({"state": "done"})
    else:
        print_line("the database has the newest schema")
    return 0


def build_parser() -> Parser:
    """Every command and flag; docs/cli.md names the same, which tests/test_docs.py checks."""
    shared = _shared_flags()
    parser = Parser(prog="dipole", description="Explore signed SAE features.", parents=[shared])
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: Command, sentence: str | None = None) -> Parser:
        if sentence is None:  # for our own use: not in the list
            added = commands.add_parser(name, parents=[shared])
        else:
            added = commands.add_parser(name, help=sentence, description=sentence, parents=[shared])
        added.set_defaults(run=run)
        return added

    _add_servers(add)
    _add_runs(add)
    add_axis(add, _add_text)
    add_file_commands(add, _add_text)
    add_evaluate(add, shared)
    add_explain(add)
    add("migrate", migrate, "bring the database to the newest schema")
    hidden = add("job", job)
    hidden.add_argument("run_id", type=int)
    hidden.add_argument("--follow-stdin", action="store_true")
    return parser


def _add_servers(add: Callable[[str, Command, str], Parser]) -> None:
    demonstration = add("demo", demo, "bring in the demo and open it in the browser")
    demonstration.add_argument(
        "--no-serve", action="store_true", help="do the work here, then exit"
    )
    demonstration.add_argument("--no-open", action="store_true", help="open no browser")
    for parser in (demonstration, add("serve", serve, "start web and a local worker")):
        parser.add_argument("--host", help="address of the pages (127.0.0.1)")
        parser.add_argument("--port", type=int, help="port of the pages (8000; 0 takes a free one)")
    working = add("worker", worker, "hold the models; execute queued runs")
    working.add_argument(
        "--host", dest="worker_host", metavar="HOST", help="listen on this address"
    )
    working.add_argument(
        "--port", dest="worker_port", metavar="PORT", type=int, help=f"and port ({WORKER_PORT})"
    )
    working.add_argument("--follow-stdin", action="store_true", help="end when stdin does")


def _add_runs(add: Callable[[str, Command, str], Parser]) -> None:
    training = add("train", train, "train an SAE on a text, index it and map it")
    _add_text(training, f"{TEXT_KINDS}; needed, unless with --resume")
    add_train_flags(training, _options_of(training, TrainRequest))

    indexing = add("index", index, "find every feature's contexts in a text")
    indexing.add_argument(
        "--sae", dest="saes", metavar="NAME|ID", required=True, action="append", help="repeatable"
    )
    option = _options_of(indexing, IndexRequest)
    _add_text(indexing, f"{TEXT_KINDS} (the one it was trained on)")
    option("--tokens", "N", "stop after so many", int)

    mapping = add("map", map_sae, "lay out an SAE's decoder rows in two dimensions")
    mapping.add_argument("--sae", metavar="NAME|ID", required=True)
    option = _options_of(mapping, MapRequest)
    option("--metric", "KIND", "how directions are compared", choices=("axis", "directed"))
    option("--seed", "N", "of the layout", int)


def _add_text(parser: Parser, sentence: str, required: bool = False) -> None:
    parser.add_argument("--text", metavar="FILE|hf:NAME|-", required=required, help=sentence)
    parser.add_argument("--text-column", metavar="NAME", help="the column of the text (text)")


def _options_of(parser: Parser, message: type[Message]) -> Callable[..., None]:
    """Adds flags named like the message's fields; their defaults stand in the message alone."""

    def option(flag: str, metavar: str, sentence: str, kind: type = str, **more: Any) -> None:
        default = message.model_fields[flag[2:].replace("-", "_")].default
        if "choices" in more:
            sentence = f"{sentence}: {', '.join(more['choices'])}"
        shown = sentence if default is None else f"{sentence} (default {default})"
        parser.add_argument(flag, metavar=metavar, help=shown, type=kind, **more)

    return option


def _shared_flags() -> Parser:
    """Flags that may stand before or after the command: unset ones must not hide set ones."""
    flags = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    flags.add_argument("--data-dir", metavar="DIR", help="the folder that holds everything")
    flags.add_argument(
        "--database-url", metavar="URL", help="SQLite in the data directory if unset"
    )
    flags.add_argument("--json", action="store_true", help="one JSON object on stdout")
    flags.add_argument("--debug", action="store_true", help="show where an error arose")
    return flags


def _read_settings(arguments: argparse.Namespace) -> Settings:
    arguments.json = getattr(arguments, "json", False)
    given = {name: getattr(arguments, name, None) for name in VARIABLES}
    return Settings.read(os.environ, **given)


def _start_log() -> None:
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("server").setLevel(logging.INFO)


def _complain(
    status: int, sentence: str, words: Sequence[str], error: Exception | None = None
) -> int:
    if error is not None and "--debug" in words:
        raise error
    if "--json" in words:
        print_json({"error": sentence})
    print_complaint(sentence)
    return status
