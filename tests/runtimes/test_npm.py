"""Packages of npm, with the real npm; all but one are of a registry in this process."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.packages import Registry, registry

from mooring.clock import SystemClock
from mooring.core.packages import Package
from mooring.errors import Invalid, MooringError, NotFound, Unavailable
from mooring.runtimes.contents import lock
from mooring.runtimes.installs import Installed, Installs
from mooring.runtimes.npm import NpmInstaller
from mooring.runtimes.tool import Job, begin

pytestmark = pytest.mark.process

Run = Callable[[Coroutine[Any, Any, Any]], Any]
NAME = "@mooring-test/hello"
HELLO = "#!/usr/bin/env node\nconsole.log('hello from', process.argv.slice(2).join(' '));\n"


class Bench:
    """A registry, and what is installed from it."""

    def __init__(self, root: Path, served: Registry, run: Run) -> None:
        self.root = root
        self.registry = served
        self.run = run
        self.environ = dict(os.environ) | {
            "NPM_CONFIG_REGISTRY": served.url,
            "NPM_CONFIG_CACHE": str(root / "cache"),
            "NPM_CONFIG_FETCH_RETRIES": "0",
        }

    def publish(self, version: str, name: str = NAME, **manifest: Any) -> None:
        fields = {"name": name, "version": version, "bin": {"hello": "hello.js"}}
        self.registry.add(fields | manifest, {"hello.js": HELLO})

    def installs(self) -> Installs:
        return Installs(self.root / "packages", self.root / "logs", self.environ, SystemClock())

    def install(self, name: str = NAME, **fields: Any) -> Installed:
        asked = Package("npm", name, **fields)
        found: Installed = self.run(self.installs().install(asked, 25, lambda phase: None))
        return found

    def fails(self, name: str = NAME, **fields: Any) -> MooringError:
        with pytest.raises(MooringError) as caught:
            self.install(name, **fields)
        return caught.value


@pytest.fixture
def bench(tmp_path: Path, run: Run) -> Iterator[Bench]:
    with registry() as served:
        yield Bench(tmp_path, served, run)


def said(found: Installed, *words: str) -> str:
    command = [*found.argv, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()


def test_a_package_is_installed_and_run_by_node_itself(bench: Bench) -> None:
    bench.publish("1.0.0")
    bench.publish("1.1.0")
    found = bench.install()
    assert [Path(word).name for word in found.argv] == ["node", "hello.js"]
    assert said(found, "you") == "hello from you"
    assert found.resolved is not None
    assert found.resolved.version == "1.1.0"
    assert found.resolved.hash.startswith("sha512-")


def test_that_exact_version_is_installed_again(bench: Bench) -> None:
    bench.publish("1.0.0")
    before = bench.install()
    assert before.resolved is not None
    bench.publish("2.0.0")
    again = bench.install(version="1.0.0", hash=before.resolved.hash)
    assert again == before


def test_what_a_package_requires_comes_with_it(bench: Bench) -> None:
    bench.publish("3.0.0", name="dep")
    bench.publish("1.0.0", dependencies={"dep": "^3.0.0"})
    found = bench.install()
    assert (Path(found.argv[1]).parents[3] / "node_modules" / "dep").exists()


def test_no_script_runs_unless_allowed(bench: Bench) -> None:
    proof = bench.root / "proof"
    bench.publish("1.0.0", scripts={"postinstall": f"touch {proof}"})
    bench.install()
    assert not proof.exists()


def test_a_package_that_does_not_exist_is_not_found(bench: Bench) -> None:
    error = bench.fails("@mooring-test/nothing")
    assert isinstance(error, NotFound)
    assert error.reason == "PackageNotFound"
    assert "'@mooring-test/nothing' was not found: Not Found - GET" in error.message


def test_a_version_or_tag_that_does_not_exist_is_not_found(bench: Bench) -> None:
    bench.publish("1.0.0")
    assert bench.fails(version="9.9.9").reason == "PackageNotFound"
    assert bench.fails(tag="next").reason == "PackageNotFound"


def test_a_requirement_that_does_not_exist_is_not_the_package(bench: Bench) -> None:
    bench.publish("1.0.0", dependencies={"nothing": "^3.0.0"})
    error = bench.fails()
    assert isinstance(error, Unavailable)
    assert "what it requires cannot be met" in error.message


def test_a_registry_that_fails_proves_nothing(bench: Bench) -> None:
    bench.registry.failing = 503
    error = bench.fails()
    assert isinstance(error, Unavailable)
    assert "the npm registry could not be read: " in error.message


def test_an_installation_that_takes_too_long_is_given_up(bench: Bench) -> None:
    bench.publish("1.0.0")
    bench.registry.held = threading.Event()
    asked = Package("npm", NAME, version="1.0.0")
    with pytest.raises(Unavailable, match="not installed within 1 s"):
        bench.run(bench.installs().install(asked, 1, lambda phase: None))
    bench.registry.held.set()
    assert bench.install(version="1.0.0")


def test_an_installation_that_is_called_off_leaves_nothing_running(bench: Bench) -> None:
    bench.publish("1.0.0")
    bench.registry.held = threading.Event()

    async def story() -> None:
        asked = Package("npm", NAME, version="1.0.0")
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(bench.installs().install(asked, 20, lambda phase: None))
            assert await asyncio.to_thread(bench.registry.reached.wait, 20)
            task.cancel()
        assert task.cancelled()

    bench.run(story())
    (path,) = bench.root.glob("packages/npm/*.lock")
    held = lock(path)  # which npm had inherited
    assert held >= 0
    os.close(held)


def test_a_choice_of_programs_is_left_to_the_user(bench: Bench) -> None:
    bench.publish("1.0.0", bin={"a": "hello.js", "b": "./hello.js"})
    error = bench.fails()
    assert isinstance(error, Invalid)
    assert "a, b" in error.message
    assert said(bench.install(entry_point="b"), "b") == "hello from b"


def test_a_library_is_no_server(bench: Bench) -> None:
    bench.publish("1.0.0", bin=None)
    assert "library" in bench.fails().message


@pytest.mark.parametrize(
    ("name", "text", "by_node"),
    [
        ("a.js", HELLO, True),
        ("a.mjs", "console.log(1)", True),
        ("a", HELLO, True),
        ("a", "#!/bin/sh\n", False),
        ("a.js", "#!/usr/bin/env -S node --no-warnings\n", False),
        ("a", "\x7fELF", False),
    ],
)
def test_a_script_of_node_is_run_by_node(
    tmp_path: Path, name: str, text: str, by_node: bool
) -> None:
    program = tmp_path / name
    program.write_text(text)
    argv = NpmInstaller(os.environ).argv(program)
    assert argv[-1] == str(program)
    assert (len(argv) == 2) == by_node


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo '(node:7) Warning: old' >&2; echo '\"1.0.0\"'", None),
        ("exit 0", "PackageNotFound"),
        ("echo '{}'", "CannotInstall"),
    ],
)
def test_what_npm_answers_is_read_with_care(bench: Bench, script: str, reason: str | None) -> None:
    npm = bench.root / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    log = bench.root / "log"
    begin(log)
    tool = NpmInstaller({"PATH": str(bench.root)})
    asked = tool.resolve(Package("npm", NAME), Job({}, bench.root, log), whole=False)
    if reason is None:
        assert bench.run(asked) == "1.0.0"
        return
    with pytest.raises(MooringError) as caught:
        bench.run(asked)
    assert caught.value.reason == reason


def test_without_npm_the_remedy_is_told(bench: Bench) -> None:
    bench.environ["PATH"] = str(bench.root)
    error = bench.fails()
    assert isinstance(error, NotFound)
    assert error.reason == "CommandNotFound"
    assert "install Node.js" in error.message


def test_a_real_package_of_the_real_registry(bench: Bench) -> None:
    bench.environ = dict(os.environ)
    found = bench.install("semver", version="7.6.0")
    assert said(found, "1.2.3", "-i", "minor") == "1.3.0"
