"""Installs a package of npm into a directory of its own.

No scripts are run, unless they are allowed. A program is run by node itself rather than
through a link, a shell or npx, so that the child is the server and nothing else.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mooring.core.installing import npm_trouble
from mooring.core.packages import Package
from mooring.errors import NotFound, Unavailable
from mooring.runtimes.contents import Contents
from mooring.runtimes.tool import Finished, Job, run
from mooring.runtimes.trouble import ToolFailed

NPM = ("--no-audit", "--no-fund", "--no-progress", "--no-update-notifier", "--loglevel", "error")
NODE_SHEBANG = (b"#!/usr/bin/env node", b"#!/usr/bin/node", b"#!/usr/local/bin/node")
VERSION = re.compile(r'"([^"]+)"')
SCRIPTS = (".js", ".cjs", ".mjs")


class NpmInstaller:
    """Knows npm."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._path = environ.get("PATH", os.defpath)

    def interpreter(self, asked: Package) -> str:
        """None that would decide what is installed."""
        return ""

    async def resolve(self, asked: Package, job: Job, *, whole: bool) -> str:
        """The version that the registry calls the newest of the tag; npm never picks an older."""
        done = await self._npm(asked, job, ["view", "--json", "--", asked.requirement, "version"])
        named = [text for line in done.lines if (text := VERSION.fullmatch(line.strip()))]
        if named:
            return named[-1][1]
        what = f"npm package {asked.requirement!r}"
        if not any(done.lines):
            raise NotFound("PackageNotFound", f"{what} was not found: it has no such version")
        raise Unavailable("CannotInstall", f"{what}: npm did not name a version. See {job.log}")

    async def install(self, exact: Package, directory: Path, job: Job) -> Contents:
        """Installs exactly that version."""
        _begin(directory)
        scripts = f"--ignore-scripts={'false' if exact.allow_scripts else 'true'}"
        place = ["--prefix", str(directory), scripts, "--save-exact"]
        await self._npm(exact, job, ["install", *place, "--", exact.requirement])
        inside = f"node_modules/{exact.name}"
        locked = _document(directory / "package-lock.json")["packages"].get(inside, {})
        return Contents(
            package=exact.name,
            version=str(locked.get("version", exact.version)),
            hash=str(locked.get("integrity", "")),
            programs=_programs(_document(directory / inside / "package.json"), inside),
        )

    def argv(self, program: Path) -> tuple[str, ...]:
        """How an installed program is run: a script by node, anything else as it is."""
        with program.open("rb") as file:
            shebang = file.readline(256).strip()
        plain = not shebang.startswith(b"#!") and program.suffix in SCRIPTS
        if plain or shebang in NODE_SHEBANG:
            return (self._tool("node"), str(program))
        return (str(program),)

    async def _npm(self, asked: Package, job: Job, rest: list[str]) -> Finished:
        done = await run([self._tool("npm"), *rest[:1], *NPM, *rest[1:]], job)
        if done.code:
            raise ToolFailed(npm_trouble(asked, done.lines))
        return done

    def _tool(self, name: str) -> str:
        found = shutil.which(name, path=self._path)
        if found is None:
            raise NotFound(
                "CommandNotFound",
                f"{name} was not found on PATH. Fix: install Node.js 18 or newer "
                "(https://nodejs.org), then start Mooring again",
            )
        return os.path.abspath(found)


def _begin(directory: Path) -> None:
    """A root of its own, so that npm does not look for one further up."""
    directory.mkdir(mode=0o700)
    (directory / "package.json").write_text('{"private": true}\n')


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Unavailable("CannotInstall", f"npm did not leave a readable {path}") from error
    return document if isinstance(document, dict) else {}


def _programs(manifest: Mapping[str, Any], inside: str) -> dict[str, str]:
    """`bin` of a package.json: a path for the one program, or names with paths."""
    programs = manifest.get("bin")
    if isinstance(programs, str):
        programs = {inside.rpartition("/")[2]: programs}
    if not isinstance(programs, dict):
        return {}
    return {
        name: os.path.normpath(f"{inside}/{path}")
        for name, path in sorted(programs.items())
        if isinstance(path, str)
    }
