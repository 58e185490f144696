"""Manifests of `-f`: files, directories and standard input, and what the API makes of them."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mooring.cli.client import Api, Body
from mooring.cli.failures import FAILED, USAGE, Failure, Refusal
from mooring.core.naming import VIEW_PATH, label

PATH = f"{VIEW_PATH}/manifests"
SUFFIXES = (".yaml", ".yml", ".json")

Row = dict[str, Any]

files_option = click.option(
    "-f",
    "--filename",
    "filenames",
    multiple=True,
    metavar="FILE|DIR|-",
    help="File, directory of files (.yaml, .yml, .json), or - for standard input.",
)


@dataclass(frozen=True, slots=True)
class File:
    """The text of one file."""

    name: str
    text: bytes
    directory: str
    """Absolute path of the directory that it is in."""


def read(filenames: Sequence[str]) -> list[File]:
    """All files that are meant; Failure where one cannot be read."""
    if not filenames:
        raise Failure("which file? Say it with -f FILE", USAGE)
    return [file for name in filenames for file in _read(name)]


def post(
    api: Api,
    files: Iterable[File],
    namespace: str,
    *,
    method: str = "POST",
    dry_run: bool = False,
) -> list[Row]:
    """Sends files; what became of each object. Raises Failure with all complaints about all."""
    rows: list[Row] = []
    complaints: list[str] = []
    for file in files:
        query = {
            "filename": file.name,
            "directory": file.directory,
            "namespace": namespace,
            "dryRun": "All" if dry_run else None,
        }
        try:
            answered = api.send(method, PATH, Body(file.text, "application/yaml"), query=query)
            rows += answered["items"]
        except Refusal as refusal:
            if not refusal.causes:
                raise
            complaints += [str(cause["message"]) for cause in refusal.causes]
    if complaints:
        raise refused(complaints)
    return rows


def change(api: Api, files: Sequence[File], namespace: str, *, method: str = "POST") -> list[Row]:
    """Like `post`; where one of several files has a mistake, none of them changes anything."""
    if len(files) > 1:
        post(api, files, namespace, method=method, dry_run=True)
    return post(api, files, namespace, method=method)


def refused(complaints: Sequence[str]) -> Failure:
    """What is said where nothing was applied."""
    count = f"{len(complaints)} problems" if len(complaints) > 1 else "1 problem"
    return Failure("\n".join([*complaints, f"{count}, so nothing was changed"]), FAILED)


def named(row: Row) -> str:
    """The object of a row: `server/time`."""
    return label(row["kind"], row["namespace"], row["name"])


def mind_failures(rows: Iterable[Row]) -> None:
    """Raises what went wrong with single objects, after the others were written."""
    wrong = [f"{named(r)}: {r['status']['message']}" for r in rows if r["outcome"] == "failed"]
    if wrong:
        raise Failure("\n".join(wrong), FAILED)


def _read(name: str) -> list[File]:
    if name == "-":
        return [File("stdin", sys.stdin.buffer.read(), str(Path.cwd()))]
    path = Path(name)
    try:
        if not path.is_dir():
            return [_file(path)]
        found = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES)
        if not found:
            raise Failure(f"{name} holds no manifests ({', '.join(SUFFIXES)})", FAILED)
        return [_file(each) for each in found]
    except OSError as error:
        raise Failure(f"cannot read {error.filename or name}: {error.strerror}", FAILED) from None


def _file(path: Path) -> File:
    return File(str(path), path.read_bytes(), str(path.parent.absolute()))
