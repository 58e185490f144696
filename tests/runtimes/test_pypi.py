"""Packages of PyPI, with the real pip; all but one are made on the spot."""

import os
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from support.packages import source, web, wheel

from mooring.clock import SystemClock
from mooring.core.packages import Package
from mooring.errors import Invalid, MooringError, NotFound, Unavailable
from mooring.runtimes.installs import Installed, Installs

pytestmark = pytest.mark.process

Run = Callable[[Coroutine[Any, Any, Any]], Any]
OUTSIDE = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}


class Bench:
    """A directory of wheels, and what is installed from it."""

    def __init__(self, root: Path, run: Run) -> None:
        self.wheels = root / "wheels"
        self.wheels.mkdir()
        self.root = root
        self.environ = OUTSIDE | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
        self._run = run

    def install(self, name: str, **fields: Any) -> Installed:
        installs = Installs(self.root / "packages", self.root / "logs", self.environ, SystemClock())
        asked = Package("pypi", name, **fields)
        found: Installed = self._run(installs.install(asked, 25, lambda phase: None))
        return found

    def fails(self, name: str, **fields: Any) -> MooringError:
        with pytest.raises(MooringError) as caught:
            self.install(name, **fields)
        return caught.value


@pytest.fixture
def bench(tmp_path: Path, run: Run) -> Bench:
    return Bench(tmp_path, run)


def said(found: Installed) -> str:
    return subprocess.run(found.argv, capture_output=True, text=True, timeout=10).stdout.strip()


def version(found: Installed) -> str:
    return found.resolved.version if found.resolved else ""


def test_a_package_is_installed_and_runs(bench: Bench) -> None:
    wheel(bench.wheels, "hello-server", "1.0")
    wheel(bench.wheels, "hello-server", "1.2", requires=["greeting"])
    wheel(bench.wheels, "greeting", scripts=["greet", "meet"])
    found = bench.install("hello-server")
    assert said(found) == "hello from hello_server"
    assert version(found) == "1.2"
    assert found.resolved is not None
    assert found.resolved.hash.startswith("sha256:")


def test_that_exact_version_is_installed_again(bench: Bench) -> None:
    wheel(bench.wheels, "hello-server", "1.0")
    before = bench.install("hello-server")
    assert before.resolved is not None
    wheel(bench.wheels, "hello-server", "2.0")
    again = bench.install("hello-server", version="1.0", hash=before.resolved.hash)
    assert again == before


def test_an_archive_that_was_replaced_is_noticed(bench: Bench) -> None:
    wheel(bench.wheels, "hello-server", "1.0")
    assert bench.fails("hello-server", version="1.0", hash="sha256:00").reason == "HashMismatch"


def test_a_version_is_chosen_that_goes_with_further_requirements(bench: Bench) -> None:
    wheel(bench.wheels, "hello-server", "1.0", requires=["base<2"])
    wheel(bench.wheels, "hello-server", "2.0", requires=["base>=2"])
    for number in ("1.0", "2.0"):
        wheel(bench.wheels, "base", number, scripts=[])
    assert version(bench.install("hello-server")) == "2.0"
    assert version(bench.install("hello-server", beside=("base<2",))) == "1.0"


def test_a_conflict_names_both_sides(bench: Bench) -> None:
    wheel(bench.wheels, "hello-server", "2.0", requires=["base>=2"])
    for number in ("1.0", "2.0"):
        wheel(bench.wheels, "base", number, scripts=[])
    error = bench.fails("hello-server", version="2.0", beside=("base<2",))
    assert isinstance(error, Unavailable)
    assert "The user requested base<2; hello-server 2.0 depends on base>=2" in error.message


def test_a_package_that_does_not_exist_is_not_found(bench: Bench) -> None:
    error = bench.fails("no-such-server")
    assert isinstance(error, NotFound)
    assert error.reason == "PackageNotFound"
    assert "No matching distribution found for no-such-server" in error.message


def test_an_index_that_fails_proves_nothing(bench: Bench) -> None:
    with web(lambda path: (502, b"")) as url:
        bench.environ = OUTSIDE | {"PIP_INDEX_URL": f"{url}/simple/", "PIP_RETRIES": "0"}
        error = bench.fails("hello-server")
    assert isinstance(error, Unavailable)
    assert "the package index could not be read" in error.message
    assert "502 Server Error" in error.message


def test_sources_are_built_only_where_scripts_are_allowed(bench: Bench) -> None:
    proof = bench.root / "proof"
    source(bench.wheels, "hello-server", setup=f"open({str(proof)!r}, 'w').close()\n")
    error = bench.fails("hello-server")
    assert error.reason == "PackageNotFound"
    assert "source.allowScripts" in error.message
    assert not proof.exists()


def test_only_programs_of_the_package_itself_count(bench: Bench) -> None:
    wheel(bench.wheels, "hello-server", scripts=["one", "two"], requires=["greeting"])
    wheel(bench.wheels, "greeting", scripts=["greet"])
    error = bench.fails("hello-server")
    assert isinstance(error, Invalid)
    assert "none of its own name: one, two." in error.message
    assert said(bench.install("hello-server", entry_point="two")) == "hello from hello_server"


def test_a_missing_interpreter_is_named(bench: Bench) -> None:
    error = bench.fails("hello-server", python="python9.9")
    assert isinstance(error, NotFound)
    assert error.reason == "CommandNotFound"
    assert "'python9.9' was not found" in error.message


def test_an_environment_without_our_pip_uses_its_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.runtimes.pypi._has_pip", lambda: False)
    wheel(bench.wheels, "hello-server", "1.0")
    assert said(bench.install("hello-server", version="1.0")) == "hello from hello_server"


def test_a_real_package_of_the_real_index(bench: Bench) -> None:
    bench.environ = dict(os.environ)
    found = bench.install("cowsay")
    assert found.argv[0].endswith("/bin/cowsay")
    assert version(found)
