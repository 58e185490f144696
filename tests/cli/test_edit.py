"""`moor edit`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from support.surface import Served, secret, server

from mooring.kinds.ref import Ref

Moor = Any
TIME = Ref("MCPServer", "default", "time")


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], str | None]], list[str]]:
    """An editor that changes the text in a given way; returns what it was shown."""

    def install(change: Callable[[str], str | None]) -> list[str]:
        shown: list[str] = []

        def edit(text: str, extension: str) -> str | None:
            assert extension == ".yaml"
            shown.append(text)
            return change(text)

        monkeypatch.setattr(click, "edit", edit)
        return shown

    return install


def test_a_change_is_written(api: Served, moor: Moor, editor: Any) -> None:
    api.report(api.put(server("time", labels={"team": "core"})), phase="Ready")
    shown = editor(lambda text: text.replace("replicas: 1", "replicas: 2"))
    assert moor("edit", "server", "time").out == "server/time configured\n"
    assert "status" not in shown[0]
    assert "uid" not in shown[0]
    now = api.get(TIME)
    assert (now.spec.replicas, now.metadata.labels) == (2, {"team": "core"})


@pytest.mark.parametrize("left", [None, "", "same"])
def test_no_change_writes_nothing(api: Served, moor: Moor, editor: Any, left: str | None) -> None:
    api.put(server("time"))
    editor(lambda text: text if left == "same" else left)
    said = moor("edit", "server/time")
    assert (said.code, said.out, said.err) == (0, "", "server/time unchanged\n")


def test_somebody_elses_change_is_not_overwritten(api: Served, moor: Moor, editor: Any) -> None:
    api.put(server("time"))

    def slow(text: str) -> str:
        held = api.get(TIME)
        api.put(held.model_copy(update={"spec": held.spec.model_copy(update={"replicas": 7})}))
        return text.replace("replicas: 1", "replicas: 2")

    editor(slow)
    said = moor("edit", "server", "time")
    assert said.code == 1
    assert "read it again" in said.err
    assert api.get(TIME).spec.replicas == 7


def test_work_is_not_lost_where_it_is_refused(api: Served, moor: Moor, editor: Any) -> None:
    api.put(server("time"))
    editor(lambda text: text.replace("replicas: 1", "replicas: many"))
    said = moor("edit", "server", "time")
    assert said.code == 1
    assert "spec.replicas" in said.err
    kept = Path(said.err.split("What you wrote is in ")[1].split(";")[0])
    assert "replicas: many" in kept.read_text()
    kept.unlink()


def test_values_of_secrets_are_neither_shown_nor_lost(api: Served, moor: Moor, editor: Any) -> None:
    held = api.put(secret(token="s3cret"))
    shown = editor(lambda text: text.replace("type: Opaque", "type: other"))
    assert moor("edit", "secret", "creds").code == 0
    assert "token: ''" in shown[0]
    assert api.get(held.ref).value("token") == "s3cret"


def test_one_object_at_a_time(api: Served, moor: Moor) -> None:
    assert moor("edit", "server", "a", "b").code == 2
    assert moor("edit", "server", "nobody").code == 3
