"""Puts what pip or npm could not do into words that name the package and what to do."""

from pathlib import Path

from mooring.core.installing import Trouble
from mooring.core.packages import Package
from mooring.errors import MooringError, NotFound, Unavailable

INDEX = {"pypi": "the package index", "npm": "the npm registry"}


class ToolFailed(Exception):
    """A tool ended with an error; `worded` makes one of ours of it."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.line)
        self.trouble = trouble


def worded(trouble: Trouble, asked: Package, packages: Path, log: Path) -> MooringError:
    """The error that an installation ends with: NotFound where it cannot mend itself."""
    what = f"{asked.type} package {asked.requirement!r}"
    match trouble.kind:
        case "absent":
            hint = ""
            if asked.type == "pypi" and not asked.allow_scripts:
                hint = ". Only wheels are looked for, unless source.allowScripts is true"
            said = f"{what} was not found: {trouble.line}{hint}"
            return NotFound("PackageNotFound", said)
        case "no-space":
            said = f"{what}: no space left on the disk of {packages}. Fix: free some"
        case "network":
            said = f"{what}: {INDEX[asked.type]} could not be read: {trouble.line}"
        case "conflict":
            said = f"{what}: what it requires cannot be met: {trouble.line}. See {log}"
        case "other":
            said = f"{what}: {trouble.line}. See {log}"
    return Unavailable("CannotInstall", said)


def replaced(asked: Package, found: str) -> str:
    """The archive of a version is not the one that was recorded."""
    return (
        f"{asked.type} package {asked.requirement!r} is not what it was: its archive has the hash "
        f"{found}, and {asked.hash} is recorded. Fix: find out who replaced it; to accept it, "
        "delete the server and apply it again"
    )
