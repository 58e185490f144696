"""Installs a package of PyPI: a virtual environment, made in place, and pip.

Only wheels are taken, unless scripts are allowed, because building a source archive runs its
code. The pip is Mooring's own where it has one; the environment is then made without, which
saves two seconds and needs no ensurepip.
"""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from mooring.core.installing import pip_trouble
from mooring.core.packages import Package, normal
from mooring.errors import NotFound, Unavailable
from mooring.runtimes.contents import Contents
from mooring.runtimes.tool import Finished, Job, run
from mooring.runtimes.trouble import ToolFailed

PIP = ("--no-input", "--disable-pip-version-check", "--progress-bar", "off")


class PypiInstaller:
    """Knows pip."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._path = environ.get("PATH", os.defpath)

    def interpreter(self, asked: Package) -> str:
        """The interpreter of the package, without symlinks; raises NotFound."""
        wanted = asked.python or sys.executable
        found = shutil.which(wanted, path=self._path)
        if found is None:
            raise NotFound(
                "CommandNotFound",
                f"python interpreter {wanted!r} was not found. Fix: install it, or set "
                "source.python to the path of one, or to a name on PATH",
            )
        return os.path.realpath(found)

    async def resolve(self, asked: Package, job: Job, *, whole: bool) -> str:
        """The version that is the newest; with `whole`, the newest whose requirements can be met.

        The first takes half a second, the second several.
        """
        report = job.log.with_suffix(".json")
        options = ["--dry-run", "--ignore-installed"] + ([] if whole else ["--no-deps"])
        wanted = (asked.requirement, *(asked.beside if whole else ()))
        python = self.interpreter(asked)
        await self._pip(asked, job, python, [*options, "--report", str(report), *wanted])
        return str(_reported(report, asked)["metadata"]["version"])

    async def install(self, exact: Package, directory: Path, job: Job) -> Contents:
        """Installs exactly that version."""
        own_pip = ["--without-pip"] if _has_pip() else []
        venv = [self.interpreter(exact), "-m", "venv", *own_pip, str(directory)]
        made = await run(venv, job)
        if made.code:
            raise Unavailable("CannotInstall", f"cannot make an environment: {_last(made)}")
        report = directory / "installed.json"
        python = str(directory / "bin" / "python")
        wanted = ["--report", str(report), exact.requirement, *exact.beside]
        await self._pip(exact, job, python, wanted)
        found = _reported(report, exact)
        return Contents(
            package=exact.name,
            version=str(found["metadata"]["version"]),
            hash=_hash(found),
            programs=_programs(directory, exact.name),
        )

    def argv(self, program: Path) -> tuple[str, ...]:
        """How an installed program is run."""
        return (str(program),)

    async def _pip(self, asked: Package, job: Job, python: str, rest: list[str]) -> None:
        done = await run(_command(python, asked, rest), job)
        if not done.code:
            return
        trouble = pip_trouble(asked, done.lines)
        if trouble.kind == "absent":  # or the index could not be read: only `-vv` tells
            rest = ["-vv", "--dry-run", "--no-deps", "--ignore-installed", asked.requirement]
            again = await run(_command(python, asked, rest), job)
            trouble = pip_trouble(asked, (*again.lines, *done.lines))
        raise ToolFailed(trouble)


def _command(python: str, asked: Package, rest: list[str]) -> list[str]:
    pip = [sys.executable, "-m", "pip", "--python", python]
    if not _has_pip():
        pip = [python, "-m", "pip"]
    wheels = [] if asked.allow_scripts else ["--only-binary", ":all:"]
    return [*pip, "install", *PIP, *wheels, *rest]


def _has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None


def _last(done: Finished) -> str:
    return next((line for line in reversed(done.lines) if line.strip()), "no output")[:500]


def _reported(path: Path, asked: Package) -> dict[str, Any]:
    """What pip's report, which is used up by this, says of the package itself."""
    try:
        items = json.loads(path.read_bytes())["install"]
        path.unlink()
        return next(i for i in items if normal(i["metadata"]["name"]) == normal(asked.name))
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise Unavailable("CannotInstall", f"pip did not say what it installed: {path}") from error


def _hash(item: Mapping[str, Any]) -> str:
    hashes = item.get("download_info", {}).get("archive_info", {}).get("hashes", {})
    return f"sha256:{hashes['sha256']}" if "sha256" in hashes else ""


def _programs(directory: Path, name: str) -> dict[str, str]:
    """Scripts of the package itself, not of what it requires: its RECORD lists them."""
    sites = [str(site) for site in sorted(directory.glob("lib*/python*/site-packages"))]
    scripts = directory / "bin"
    found: dict[str, Path] = {}
    for distribution in distributions(path=sites):
        if normal(distribution.metadata["Name"] or "") == normal(name):
            found |= {path.name: path for path in _files(distribution) if path.parent == scripts}
    return {script: str(path.relative_to(directory)) for script, path in sorted(found.items())}


def _files(distribution: Distribution) -> list[Path]:
    files = distribution.files or []
    return [Path(os.path.normpath(str(distribution.locate_file(file)))) for file in files]
