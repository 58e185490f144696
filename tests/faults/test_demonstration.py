"""What the README asks its reader to try: one session, a restart, a kill, and on it goes."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.installation import ROOT, Mooring, wait_until

pytestmark = pytest.mark.process

LINE = re.compile(r"session (\S+)  call +(\d+) +(\d+) ms  (.*)")


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    yield installation
    installation.end()


def only_notes(tmp_path: Path) -> str:
    """A file with that server of the fleet alone, as the others need a network."""
    documents = (ROOT / "examples/fleet.yaml").read_text().split("---\n")
    (notes,) = [each for each in documents if "name: notes" in each]
    path = tmp_path / "notes.yaml"
    path.write_text(notes.replace("workingDirectory: .", f"workingDirectory: {ROOT}/examples"))
    return str(path)


def kill(mooring: Mooring) -> None:
    """As `pkill -9 -f notes.py` would."""
    for pid in mooring.processes():
        if b"notes.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)


def test_a_session_goes_on_through_a_restart_and_a_kill(mooring: Mooring, tmp_path: Path) -> None:
    mooring.start("serve")
    mooring.wait_for_api()
    mooring.moor("apply", "-f", only_notes(tmp_path))
    mooring.ready("notes")
    told = tmp_path / "told"
    program = str(ROOT / "examples/calling.py")
    with told.open("wb") as out:
        calling = subprocess.Popen(
            [sys.executable, program, mooring.url("notes"), "add_note", "text=hello"], stdout=out
        )

    def lines(more: int) -> list[tuple[str, str]]:
        """Session and text of each call, once there are so many more."""
        wanted = len(LINE.findall(told.read_text())) + more
        wait_until("calls", lambda: len(LINE.findall(told.read_text())) >= wanted, 30)
        return [(found[0], found[3]) for found in LINE.findall(told.read_text())]

    try:
        lines(2)
        assert mooring.stop(signal.SIGINT) == 0
        mooring.start("serve")
        before = lines(3)
        assert [text for _, text in before] == [f"kept note {n + 1}" for n in range(len(before))]
        kill(mooring)
        after = lines(3)[len(before) :]
        assert after[-1][1].startswith("kept note ")
        assert len({session for session, _ in before + after}) == 1
        assert int(after[-1][1].split()[-1]) < len(before)
    finally:
        calling.send_signal(signal.SIGINT)
        calling.wait(10)
