"""Generated files are fresh, the same every time, and said to be stale when they are."""

from pathlib import Path

import pytest
import yaml

from mooring.errors import FAMILIES, REASONS
from mooring.kinds.registry import KINDS
from mooring.kinds.shape import paths
from mooring.programs.generate import generated, main, stale

ROOT = Path(__file__).resolve().parents[2]


def test_the_files_of_the_repository_are_fresh() -> None:
    assert stale(ROOT) == []


def test_generating_again_gives_the_same() -> None:
    assert generated() == generated()


def test_writing_makes_fresh_and_checking_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.count("is stale; run: make gen") == len(generated())
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    (tmp_path / "docs/reference/kinds.md").write_text("old")
    assert main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err == "docs/reference/kinds.md is stale; run: make gen\n"
    assert main(["--chek"], tmp_path) == 2


def test_definitions_are_yaml_that_kubectl_can_apply() -> None:
    crds = [yaml.safe_load(text) for name, text in generated().items() if "crds" in name]
    assert [crd["kind"] for crd in crds] == ["CustomResourceDefinition"] * 3


def test_every_field_is_in_the_reference() -> None:
    page = generated()["docs/reference/kinds.md"]
    for kind in KINDS:
        for path in paths(kind.model):
            if path[0] not in ("apiVersion", "kind", "metadata"):
                assert f"{path[-1]}` |" in page, path


def test_every_field_that_is_written_by_people_is_explained() -> None:
    rows = generated()["docs/reference/kinds.md"].splitlines()
    unsaid = [row for row in rows if row.startswith("| `spec.") and row.endswith("|  |")]
    assert unsaid == []


def test_every_reason_is_explained_with_its_status() -> None:
    page = generated()["docs/reference/reasons.md"]
    for family, reasons in FAMILIES.items():
        assert f"## {family}\n" in page
        for reason, (status, meaning) in reasons.items():
            assert f"| `{reason}` | {status} | {meaning} |" in page
            assert meaning.endswith(".")
            assert REASONS[reason] == status
