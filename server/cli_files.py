"""The commands `import` and `export`: SAEs of other libraries, in and out.

Knows which words a flag takes; nothing is read or written here.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from server.cli_output import print_json, print_line
from server.cli_runs import begin_run, given_fields, open_database, require_saes
from server.protocol.files import ExportFormat, ImportRequest
from server.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Add = Callable[..., argparse.ArgumentParser]


def import_sae(settings: Settings, arguments: argparse.Namespace) -> int:
    """Bring in an SAE that was trained elsewhere, index it and map it."""
    values = given_fields(settings, arguments, ImportRequest)
    if not arguments.source.strip():
        raise ValueError("DIR|HUB_ID is empty: name a folder, or owner/name of a hub")
    folder = Path(arguments.source).expanduser()
    if folder.is_dir():
        values["source"] = str(folder.resolve())
    return begin_run(settings, "import", ImportRequest(**values), arguments.json)


def export(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write an SAE of the library in another library's format."""
    folder = Path(arguments.folder).expanduser().resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not an empty folder: name another one, nothing is replaced")
    require_saes(settings, [arguments.sae])
    from server.worker.exporting import export_sae

    with open_database(settings) as database:
        written = export_sae(
            settings, database, arguments.sae, arguments.format, folder, arguments.split
        )
    if arguments.json:
        print_json(written)
    else:
        files = " and ".join(written["files"])
        print_line(f"{written['name']} is in {folder} as {arguments.format}: {files}")
    return 0


def add_file_commands(add: "Add", add_text: "Callable[..., None]") -> None:
    """Both commands with their flags; `add_text` adds the flags of a text."""
    importing = add("import", import_sae, "bring in an SAE that was trained elsewhere")
    importing.add_argument("source", metavar="DIR|HUB_ID", help="a folder, or owner/name[/folder]")
    importing.add_argument("--model", metavar="NAME|DIR", help="its language model (default demo)")
    importing.add_argument(
        "--layer", metavar="N", type=int, help="residual stream after this block (as its files say)"
    )
    add_text(importing, "what to index it on (the demo's own, with the demo model)")
    importing.add_argument("--tokens", metavar="N", type=int, help="index no more than so many")
    importing.add_argument("--name", metavar="NAME", help="what to call it")

    exporting = add("export", export, "write an SAE for another library")
    exporting.add_argument("folder", metavar="DIR", help="a new or empty folder")
    exporting.add_argument("--sae", metavar="NAME|ID", required=True)
    exporting.add_argument(
        "--format", metavar="KIND", required=True, choices=get_args(ExportFormat),
        help=", ".join(get_args(ExportFormat)),
    )  # fmt: skip
    exporting.add_argument(
        "--split", action="store_true", help="write a signed SAE as two one-sided poles: [D, −D]"
    )
