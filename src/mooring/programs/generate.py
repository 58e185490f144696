"""Writes the files that follow from the code: CRDs and reference pages.

`python -m mooring.programs.generate` writes them below the current directory, the root of the
repository; with `--check` it writes nothing, names those that are stale, and exits 1 if any is.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from mooring.errors import FAMILIES
from mooring.kinds import crd, reference
from mooring.programs import settings

_CRD_HEAD = "# Generated from the models by `make gen`.\n"
_REASONS_HEAD = """# Reasons

Everything that can go wrong has a reason, in one of five families. The reason fixes the HTTP
status; people and programs can rely on both.
"""


def generated() -> Mapping[str, str]:
    """Every generated file, by its path from the root of the repository."""
    definitions = {
        f"deploy/crds/{kind.group}_{kind.plural}.yaml": _CRD_HEAD
        + yaml.safe_dump(crd.definition(kind), sort_keys=False, width=100)
        for kind in crd.own_kinds()
    }
    return {
        **definitions,
        "docs/reference/kinds.md": reference.reference(),
        "docs/reference/reasons.md": _reasons(),
        "docs/reference/settings.md": settings.reference(),
    }


def stale(root: Path) -> list[str]:
    """Generated files that are not, or not any more, what they should be."""
    return [
        name
        for name, content in generated().items()
        if not (root / name).exists() or (root / name).read_text() != content
    ]


def write(root: Path) -> None:
    """Writes every generated file."""
    for name, content in generated().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def main(arguments: list[str], root: Path) -> int:
    """The program; returns its exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m mooring.programs.generate [--check]", file=sys.stderr)
        return 2
    if not arguments:
        write(root)
        return 0
    found = stale(root)
    for name in found:
        print(f"{name} is stale; run: make gen", file=sys.stderr)
    return 1 if found else 0


def _reasons() -> str:
    lines = [_REASONS_HEAD]
    for family, reasons in FAMILIES.items():
        lines += [f"## {family}", "", "| reason | HTTP status | what it means |", "|---|---|---|"]
        rows = sorted(reasons.items())
        lines += [f"| `{reason}` | {status} | {meaning} |" for reason, (status, meaning) in rows]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path.cwd()))
