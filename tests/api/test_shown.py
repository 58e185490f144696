"""Objects as they are shown: once made, the same document for everybody."""

import pytest
from support.surface import secret, server

from mooring.api import shown as showing
from mooring.api.shown import Album, shown


def test_an_object_is_shown_as_it_is_and_made_once() -> None:
    album, one = Album(), server("a")
    assert album.shown(one) == shown(one)
    assert album.shown(one) is album.shown(one)


def test_what_took_its_place_is_shown_instead() -> None:
    album, one = Album(), server("a")
    before = album.shown(one)
    other = one.model_copy(update={"spec": server("a", replicas=2).spec})
    assert album.shown(other)["spec"]["replicas"] == 2
    assert album.shown(one) == before


def test_what_is_gone_is_forgotten() -> None:
    album, one = Album(), server("a")
    before = album.shown(one)
    album.forget(one)
    album.forget(one)
    assert album.shown(one) is not before


def test_no_more_than_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "KEPT", 3)
    album, many = Album(), [server(f"s{number}") for number in range(9)]
    for each in many:
        assert album.shown(each) == shown(each)
    assert sum(album.shown(each) is album.shown(each) for each in many) == 9


def test_secrets_are_shown_without_values_and_not_kept() -> None:
    album, one = Album(), secret(token="s3cret")
    assert album.shown(one) == shown(one)
    assert album.shown(one) is not album.shown(one)
    assert "s3cret" not in str(album.shown(one))
    assert one.data["token"] not in str(album.shown(one))
