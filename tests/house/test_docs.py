"""The documents say what is there, and all of it."""

import re
from pathlib import Path

from mooring.core.naming import NAMINGS
from mooring.errors import REASONS
from mooring.programs.settings import reference

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "mooring"


def test_every_reason_is_in_the_reference() -> None:
    page = (ROOT / "docs/reference/reasons.md").read_text()
    assert [reason for reason in REASONS if f"`{reason}`" not in page] == []


def test_every_reason_is_raised_somewhere() -> None:
    code = "".join(p.read_text() for p in SOURCE.rglob("*.py") if p.name != "errors.py")
    assert [reason for reason in REASONS if f'"{reason}"' not in code] == []


def test_every_setting_is_in_the_reference() -> None:
    assert (ROOT / "docs/reference/settings.md").read_text() == reference()


def test_every_room_is_on_the_architecture_page() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = [p.name for p in SOURCE.iterdir() if p.is_dir() and p.name[0] != "_"]
    assert [room for room in rooms if f"`{room}/`" not in page] == []


def test_every_kind_is_in_the_guide_to_kubectl() -> None:
    page = (ROOT / "docs/guides/kubectl.md").read_text()
    names = [name for each in NAMINGS for name in (each.plural, *each.aliases)]
    assert [name for name in names if f"`{name}`" not in page] == []


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)


def test_links_between_documents_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", without_code(page.read_text()))
        if not (page.parent / target).exists()
    ]
    assert broken == []
