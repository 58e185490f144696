"""What a package source asks for, and which of the package's programs is run.

`NAME[==VERSION]` for PyPI, `NAME[@VERSION]` for npm. A version is one version, never a range:
what was started yesterday is started again today. Without a version the newest is resolved
once; from then on the resolved version stands in the place of the missing one (`settled`).
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import ValidationError

from mooring.kinds.server import MCPServer, Resolved, Source

PYPI = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(\[[A-Za-z0-9._, -]+\])?(.*)")
NPM = re.compile(r"((?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][A-Za-z0-9._~-]*)(.*)")
EXACT_PYPI = re.compile(r"==\s*([0-9][0-9A-Za-z.!+_-]*)")
EXACT_NPM = re.compile(r"@v?([0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.+-]+)?)")
TAG_NPM = re.compile(r"@(?![vV]?[0-9]|[xX]$)([A-Za-z][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class Package:
    """One package, as asked for."""

    type: Literal["pypi", "npm"]
    name: str
    extras: str = ""
    """PyPI: `[cli]`, with its brackets."""
    version: str = ""
    """Exactly this one; empty for the newest."""
    tag: str = ""
    """npm: the newest of this tag (`next`), where no version is given."""
    hash: str = ""
    """Of its archive, where it is known what it must be."""
    beside: tuple[str, ...] = ()
    """PyPI: further requirements."""
    python: str = ""
    """PyPI: the interpreter; empty for Mooring's own."""
    entry_point: str = ""
    allow_scripts: bool = False

    @property
    def requirement(self) -> str:
        """As its own tool is told: `mcp-server-time==1.0`, `@scope/name@1.0.0`."""
        if self.type == "pypi":
            return f"{self.name}{self.extras}" + (f"=={self.version}" if self.version else "")
        wanted = self.version or self.tag
        return f"{self.name}@{wanted}" if wanted else self.name


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why no package, or no program of it, can be told from what was declared."""

    message: str


def package(source: Source) -> Package | Complaint:
    """The package that a `pypi` or `npm` source names."""
    found = _pypi(source) if source.pypi is not None else _npm(source.npm or "")
    if isinstance(found, Complaint):
        return found
    return replace(found, entry_point=source.entry_point or "", allow_scripts=source.allow_scripts)


def _pypi(source: Source) -> Package | Complaint:
    text = (source.pypi or "").strip()
    parts = PYPI.fullmatch(text)
    if parts is None:
        return Complaint(f"pypi: {text!r} is not the name of a package")
    name, extras, rest = parts[1], parts[2] or "", parts[3].strip()
    exact = EXACT_PYPI.fullmatch(rest)
    if rest and exact is None:
        return Complaint(
            f"pypi: {text!r} is not NAME or NAME==VERSION. "
            "Fix: name one version, or none and put limits under `with`"
        )
    for requirement in source.with_:
        if requirement.lstrip().startswith("-"):
            return Complaint(f"with: {requirement!r} is an option, not a requirement")
    return Package(
        "pypi",
        name,
        extras.replace(" ", ""),
        exact[1] if exact else "",
        beside=tuple(sorted(source.with_)),
        python=source.python or "",
    )


def _npm(text: str) -> Package | Complaint:
    text = text.strip()
    parts = NPM.fullmatch(text)
    if parts is None:
        return Complaint(f"npm: {text!r} is not the name of a package")
    name, rest = parts[1], parts[2]
    if not rest:
        return Package("npm", name)
    if exact := EXACT_NPM.fullmatch(rest):
        return Package("npm", name, version=exact[1])
    if tag := TAG_NPM.fullmatch(rest):
        return Package("npm", name, tag=tag[1])
    return Complaint(
        f"npm: {text!r} is not NAME or NAME@VERSION. Fix: name one version (1.2.3), a tag, or none"
    )


def settled(asked: Package, resolved: Resolved | None) -> Package:
    """`asked`, with the version and hash that it was resolved to before.

    A version that is asked for stands; the hash holds where it is the same version.
    """
    if resolved is None or normal(resolved.package) != normal(asked.name):
        return asked
    if asked.version and asked.version != resolved.version:
        return asked
    return replace(asked, version=resolved.version, hash=resolved.hash)


def referred(server: MCPServer) -> frozenset[Package]:
    """The packages, of exact versions, that a server is made of now or was before."""
    status = server.status
    wishes = [(server.spec.source, status.resolved)]
    for revision in status.revisions:
        try:
            source = Source.model_validate(revision.spec.get("source"))
        except ValidationError:
            continue
        wishes += [(source, revision.resolved), (source, status.resolved)]
    exact = (_exact(source, resolved) for source, resolved in wishes)
    return frozenset(found for found in exact if found is not None)


def _exact(source: Source, resolved: Resolved | None) -> Package | None:
    """The package of a source where its version is known, with what decides its place."""
    if source.pypi is None and source.npm is None:
        return None
    asked = package(source)
    if isinstance(asked, Complaint):
        return None
    known = settled(asked, resolved)
    return replace(known, entry_point="", hash="") if known.version else None


def digest(exact: Package, python: str = "") -> str:
    """Names the directory of an installation: all that decides what is in it.

    `python` is the interpreter that was found for the package; the entry point is no part.
    """
    parts: list[object] = [exact.type, normal(exact.name), exact.extras, exact.version]
    parts += [exact.beside, python, exact.allow_scripts]
    text = json.dumps(parts, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def normal(name: str) -> str:
    """A name as it is compared: lower case, with `-` for any run of `-`, `_`, `.` (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def program(asked: Package, programs: Iterable[str]) -> str | Complaint:
    """Which of a package's programs is run.

    The declared one; else the one named like the package (without an npm scope), else the
    only one.
    """
    there = sorted(programs)
    listed = ", ".join(there) if there else "none"
    if asked.entry_point:
        if asked.entry_point in there:
            return asked.entry_point
        return Complaint(
            f"{asked.name} has no program {asked.entry_point!r}; found {listed}. "
            "Fix: set source.entryPoint to one of them"
        )
    wanted = normal(asked.name.rpartition("/")[2])
    alike = [name for name in there if normal(name) == wanted]
    if alike:
        return alike[0]
    if len(there) == 1:
        return there[0]
    if not there:
        return Complaint(f"{asked.name} has no program to run; it is a library, not a server")
    return Complaint(
        f"{asked.name} has several programs and none of its own name: {listed}. "
        "Fix: set source.entryPoint to one of them"
    )
