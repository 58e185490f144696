"""The names that people and paths use agree with the kinds themselves."""

from mooring.core.naming import BY_KIND, BY_WORD, NAMINGS, label
from mooring.kinds.ref import Ref
from mooring.kinds.registry import KINDS


def test_every_kind_has_the_names_that_its_model_gives_it() -> None:
    for kind in KINDS:
        naming = BY_KIND[kind.name]
        assert naming.plural == kind.plural
        assert naming.path.endswith(kind.api_version)
        assert set(kind.names) <= set(naming.words)


def test_no_word_means_two_kinds() -> None:
    assert len(BY_WORD) == sum(len(set(naming.words)) for naming in NAMINGS)


def test_objects_are_written_as_refs_are() -> None:
    for kind in KINDS:
        for namespace in ("default", "team-a"):
            assert label(kind.name, namespace, "x") == str(Ref(kind.name, namespace, "x"))
    assert label("MCPInstance", "default", "time-0") == "instance/time-0"
