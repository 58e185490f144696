"""What a package source asks for, and which program of it is run."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.packages import (
    Complaint,
    Package,
    digest,
    normal,
    package,
    program,
    referred,
    settled,
)
from mooring.kinds.server import Resolved, Revision, Source
from mooring.testing.clock import START
from mooring.testing.stage import server

TIME = Package("pypi", "mcp-server-time")


def asked(**source: object) -> Package:
    found = package(Source.model_validate(source))
    assert isinstance(found, Package), found
    return found


def complaint(**source: object) -> str:
    found = package(Source.model_validate(source))
    assert isinstance(found, Complaint), found
    return found.message


@pytest.mark.parametrize(
    ("text", "name", "extras", "version"),
    [
        ("mcp-server-time", "mcp-server-time", "", ""),
        ("mcp_server.time==2026.10.19", "mcp_server.time", "", "2026.10.19"),
        ("mcp[cli, rich]==2.3.0rc1", "mcp", "[cli,rich]", "2.3.0rc1"),
        ("a == 1!2.0+local.3", "a", "", "1!2.0+local.3"),
    ],
)
def test_a_pypi_source_names_a_package_and_perhaps_a_version(
    text: str, name: str, extras: str, version: str
) -> None:
    found = asked(pypi=text)
    assert (found.name, found.extras, found.version) == (name, extras, version)


@pytest.mark.parametrize(
    ("text", "name", "version", "tag"),
    [
        ("server-pdf", "server-pdf", "", ""),
        ("@scope/server", "@scope/server", "", ""),
        ("@scope/server@1.2.3-rc.1", "@scope/server", "1.2.3-rc.1", ""),
        ("server@v1.2.3", "server", "1.2.3", ""),
        ("server@next", "server", "", "next"),
    ],
)
def test_an_npm_source_names_a_package_and_perhaps_a_version_or_tag(
    text: str, name: str, version: str, tag: str
) -> None:
    found = asked(npm=text)
    assert (found.name, found.version, found.tag) == (name, version, tag)


@pytest.mark.parametrize("text", ["a>=1", "a==1.*", "a~=1.0", "a==1,!=2", "a @ https://x/y.whl"])
def test_a_range_is_no_version_on_pypi(text: str) -> None:
    assert "name one version, or none" in complaint(pypi=text)


@pytest.mark.parametrize("text", ["a@^1.0.0", "a@1", "a@1.x", "a@x", "a@>=1.0.0", "a@*"])
def test_a_range_is_no_version_on_npm(text: str) -> None:
    assert "name one version" in complaint(npm=text)


@pytest.mark.parametrize("text", ["--index-url=http://x", "-r x", "../x", "/tmp/x", "", " ", ".."])
def test_what_could_be_an_option_or_a_path_is_no_package(text: str) -> None:
    for source in ("pypi", "npm"):
        if text:
            assert complaint(**{source: text})


def test_a_path_or_address_is_no_npm_package() -> None:
    for text in ("file:../x", "git+https://x/y", "https://x/y.tgz", "user/repo"):
        assert "npm" in complaint(npm=text)


def test_with_lists_requirements_and_no_options() -> None:
    assert asked(pypi="a", **{"with": ["z", "mcp<2"]}).beside == ("mcp<2", "z")
    told = complaint(pypi="a", **{"with": ["--extra-index-url=http://x"]})
    assert "is an option" in told


def test_a_requirement_is_written_for_its_tool() -> None:
    assert asked(pypi="mcp[cli]==1.0").requirement == "mcp[cli]==1.0"
    assert asked(npm="@s/n@1.0.0").requirement == "@s/n@1.0.0"
    assert asked(npm="@s/n@next").requirement == "@s/n@next"
    assert asked(npm="@s/n").requirement == "@s/n"


def test_what_was_resolved_stands_for_a_missing_version() -> None:
    before = Resolved(package="MCP_server-time", version="1.0", hash="sha256:ab")
    found = settled(TIME, before)
    assert (found.version, found.hash) == ("1.0", "sha256:ab")


def test_a_version_that_is_asked_for_stands() -> None:
    before = Resolved(package="mcp-server-time", version="1.0", hash="sha256:ab")
    pinned = asked(pypi="mcp-server-time==2.0")
    assert settled(pinned, before) == pinned
    same = settled(asked(pypi="mcp-server-time==1.0"), before)
    assert same.hash == "sha256:ab"


def test_what_another_package_was_resolved_to_says_nothing() -> None:
    assert settled(TIME, Resolved(package="other", version="1.0")) == TIME
    assert settled(TIME, None) == TIME


def test_a_directory_is_named_by_all_that_decides_its_contents() -> None:
    base = {"pypi": "a==1"}
    different = [
        asked(**base),
        asked(pypi="a==2"),
        asked(pypi="b==1"),
        asked(pypi="a[x]==1"),
        asked(**base, **{"with": ["mcp<2"]}),
        asked(**base, allowScripts=True),
        asked(npm="a@1.0.0"),
    ]
    names = {digest(one) for one in different} | {digest(different[0], "/usr/bin/python3.12")}
    assert len(names) == len(different) + 1


def test_the_program_that_is_run_is_no_part_of_the_directory() -> None:
    assert digest(asked(pypi="A_b==1", entryPoint="x")) == digest(asked(pypi="a-B==1"))


@given(st.lists(st.sampled_from(["mcp<2", "z", "y>1"]), unique=True))
def test_the_order_of_further_requirements_decides_nothing(beside: list[str]) -> None:
    forward = asked(pypi="a==1", **{"with": beside})
    backward = asked(pypi="a==1", **{"with": beside[::-1]})
    assert digest(forward) == digest(backward)


@pytest.mark.parametrize(
    ("name", "programs", "chosen"),
    [
        ("mcp-server-time", ["mcp_server_time", "other"], "mcp_server_time"),
        ("@modelcontextprotocol/server-everything", ["mcp-server-everything"], None),
        ("@scope/tool", ["tool", "tool-admin"], "tool"),
        ("My.Tool", ["my-tool", "a"], "my-tool"),
    ],
)
def test_the_program_named_like_the_package_is_run_else_the_only_one(
    name: str, programs: list[str], chosen: str | None
) -> None:
    assert program(Package("npm", name), programs) == (chosen or programs[0])


def test_a_declared_program_is_run_or_missed() -> None:
    wanted = Package("pypi", "a", entry_point="b")
    assert program(wanted, ["a", "b"]) == "b"
    missed = program(wanted, ["a", "c"])
    assert isinstance(missed, Complaint)
    assert "no program 'b'; found a, c" in missed.message


def test_a_choice_of_programs_is_left_to_the_user() -> None:
    told = program(Package("pypi", "a"), ["z", "y"])
    assert isinstance(told, Complaint)
    assert "y, z" in told.message
    assert "source.entryPoint" in told.message
    library = program(Package("pypi", "a"), [])
    assert isinstance(library, Complaint)
    assert "library" in library.message


@given(st.text("aB-_.1", min_size=1))
def test_a_name_compares_alike_however_it_is_written(name: str) -> None:
    assert normal(normal(name)) == normal(name)
    assert normal(name.swapcase().replace("_", ".")) == normal(name)


def test_what_a_server_was_made_of_is_known_for_every_revision() -> None:
    def was(number: int, source: Any, version: str = "") -> Revision:
        resolved = Resolved(package="a", version=version) if version else None
        return Revision(number=number, spec={"source": source}, since=START, resolved=resolved)

    declared = server("a", source={"pypi": "a", "entryPoint": "serve"})
    revisions = (
        was(1, {"pypi": "a"}, "1.0"),
        was(2, {"npm": "b@1.2.3"}),
        was(3, {"command": ["x"]}),
        was(4, {"sauce": "none"}),
        was(5, {"pypi": "not a package!"}),
        was(6, {"pypi": "a"}),
    )
    update = {"revisions": revisions, "resolved": Resolved(package="a", version="2.0")}
    status = declared.status.model_copy(update=update)
    found = referred(declared.model_copy(update={"status": status}))
    assert {(each.type, each.name, each.version) for each in found} == {
        ("pypi", "a", "1.0"),
        ("pypi", "a", "2.0"),
        ("npm", "b", "1.2.3"),
    }
    assert {(each.entry_point, each.hash) for each in found} == {("", "")}
    assert referred(server("a", source={"pypi": "a"})) == frozenset()
