"""The command line's end of the connection."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.surface import Served, row, served, server

from mooring.cli.client import Api, path_of
from mooring.cli.failures import DENIED, NOT_FOUND, UNREACHABLE, Failure, Refusal
from mooring.cli.targets import SERVER

Moor = Any
SERVERS = path_of(SERVER, "default")


def test_paths_are_those_of_the_api() -> None:
    assert path_of(SERVER, None) == "/apis/mooring.dev/v1alpha1/mcpservers"
    assert path_of(SERVER, "a", "b", "status") == (
        "/apis/mooring.dev/v1alpha1/namespaces/a/mcpservers/b/status"
    )


def test_where_nobody_listens_the_way_out_is_told(moor: Moor, data_dir: Path) -> None:
    said = moor("get", "servers")
    assert said.code == UNREACHABLE
    assert "cannot reach Mooring at" in said.err
    assert "Start it: moor up" in said.err
    assert said.out == ""


def test_another_data_directory_is_another_mooring(
    fleet: Served, moor: Moor, tmp_path: Path
) -> None:
    assert moor("get", "servers").code == 0
    assert moor("--data-dir", str(tmp_path / "other"), "get", "servers").code == UNREACHABLE
    assert moor("get", "servers", "--data-dir", str(tmp_path / "other")).code == UNREACHABLE


def test_a_refusal_tells_its_reason_and_an_exit_code(api: Served) -> None:
    with pytest.raises(Refusal) as caught:
        Api(str(api.path)).get(f"{SERVERS}/nobody")
    assert (caught.value.code, caught.value.reason) == (NOT_FOUND, "NotFound")
    assert Refusal(403, {"message": "no"}).code == DENIED
    assert Refusal(500, {}).message == "Mooring answered 500"


def answering(path: Path, reply: bytes) -> threading.Thread:
    """Somebody who sends this to the first who connects, and hangs up."""
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    door.listen()

    def live() -> None:
        with door:
            connection, _ = door.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(reply)

    thread = threading.Thread(target=live)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "cannot reach"),
        (b"SSH-2.0-OpenSSH\r\n", "cannot reach"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}", "cut off"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{", "cut off"),
        (b"HTTP/1.1 502 Bad\r\ncontent-length: 50\r\n\r\noops", "cut off"),
    ],
)
def test_half_an_answer_is_none(tmp_path: Path, reply: bytes, words: str) -> None:
    thread = answering(tmp_path / "s", reply)
    with pytest.raises(Failure, match=words) as caught:
        Api(str(tmp_path / "s")).get("/")
    assert caught.value.code == UNREACHABLE
    thread.join()


def test_an_error_that_is_no_json_is_shown_as_it_is(tmp_path: Path) -> None:
    reply = b"HTTP/1.1 502 Bad\r\ncontent-length: 4\r\n\r\noops"
    thread = answering(tmp_path / "s", reply)
    with pytest.raises(Refusal, match="oops"):
        Api(str(tmp_path / "s")).get("/")
    thread.join()


def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "s"))
        door.listen()
        with pytest.raises(Failure, match=r"no answer within 0\.05 s"):
            Api(str(tmp_path / "s")).get("/", seconds=0.05)


def follow(api: Served, seconds: float = 10, **query: Any) -> Iterator[list[str]]:
    """What `Api.follow` yields, as `ADDED a`."""
    for batch in Api(str(api.path)).follow(SERVERS, query, seconds):
        yield [f"{kind} {document['metadata']['name']}" for kind, document in batch]


def test_everything_there_is_comes_first_and_at_once(api: Served) -> None:
    with closing(follow(api)) as changes:
        assert next(changes) == []
    api.put(server("a"))
    api.put(server("b"))
    with closing(follow(api)) as changes:
        assert next(changes) == ["ADDED a", "ADDED b"]
        api.report(server("a"), instances=(row("a-0"),))
        assert next(changes) == ["MODIFIED a"]
        api.run(api.store.delete(server("b").ref))
        assert next(changes) == ["DELETED b"]


def test_a_watch_goes_on_when_the_daemon_ends_it(api: Served) -> None:
    api.put(server("a"))
    with closing(follow(api, timeoutSeconds=0.02)) as changes:
        assert next(changes) == ["ADDED a"]
        api.put(server("b"))
        assert next(changes) == ["ADDED b"]


def test_who_fell_behind_is_told_what_became_of_everything(tmp_path: Path) -> None:
    with served(tmp_path / "a.sock", history=4) as api:
        for name in ("a", "b", "c"):
            api.put(server(name))
        with closing(follow(api, timeoutSeconds=0.02)) as changes:
            assert next(changes) == ["ADDED a", "ADDED b", "ADDED c"]
            api.run(churn(api))
            assert next(changes) == ["DELETED a", "MODIFIED b", "ADDED d"]


async def churn(api: Served) -> None:
    """Changes in one go, more than the store keeps."""
    await api.store.delete(server("a").ref)
    await api.store.put(server("d"))
    for number in range(12):
        held = await api.store.get(server("b").ref)
        assert held is not None
        meta = held.metadata.model_copy(update={"labels": {"n": str(number)}})
        await api.store.put(held.model_copy(update={"metadata": meta}))


def test_following_has_a_deadline_behind_the_first_look(api: Served) -> None:
    api.put(server("a"))
    changes = follow(api, seconds=0)
    assert next(changes) == ["ADDED a"]
    with pytest.raises(TimeoutError):
        next(changes)
    with pytest.raises(TimeoutError):
        list(follow(api, seconds=0.05))


def test_an_error_within_a_watch_is_a_refusal(api: Served) -> None:
    with pytest.raises(Refusal, match="label selector"):
        next(follow(api, labelSelector="a b"))
