"""Addresses of a Redis, and that they keep their secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import Invalid
from mooring.stores.redis_address import RedisAddress, parse

SECRET = "hush-hush"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", RedisAddress("cache", 6379)),
        ("redis://cache:7000/3", RedisAddress("cache", 7000, 3)),
        ("redis://[::1]:7000", RedisAddress("::1", 7000)),
        ("rediss://cache?ca=/etc/ca.pem", RedisAddress("cache", 6379, tls=True, ca="/etc/ca.pem")),
        ("redis://cache?prefix=team-a", RedisAddress("cache", 6379, prefix="team-a")),
        ("unix:///run/redis.sock", RedisAddress("", 6379, socket="/run/redis.sock")),
        (
            "redis://u%40:p%2F@cache",
            RedisAddress("cache", 6379, username="u@", password="p/"),
        ),
    ],
)
def test_an_address_says_where_a_redis_is(url: str, address: RedisAddress) -> None:
    assert parse(url) == address
    assert parse(address.url, address.password) == address
    assert address.password == "" or address.password not in address.url.replace("%2F", "/")


def test_a_password_that_is_given_counts_more() -> None:
    assert parse("redis://:old@cache", "new").password == "new"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:hush-hush@cache:7000/3", "redis://cache:7000/3"),
        ("rediss://:hush-hush@[::1]", "rediss://[::1]:6379/0"),
        ("unix://:hush-hush@/run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_what_is_shown_holds_no_secret(url: str, shown: str) -> None:
    address = parse(url)
    assert str(address) == shown
    assert SECRET not in repr(address)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://:hush-hush@", "names no host"),
        ("redis://:hush-hush@cache:port", "expected redis://HOST:PORT"),
        ("redis://:hush-hush@cache:99999", "expected redis://HOST:PORT"),
        ("http://:hush-hush@cache", "expected redis://"),
        ("hush-hush", "expected redis://"),
        ("redis://:hush-hush@cache/zero", "the path is the number"),
        ("redis://cache?password=hush-hush", "unknown: password"),
        ("redis://cache?prefix={a}", "prefix"),
        ("redis://cache?prefix=", "prefix"),
        ("redis://cache?ca=/etc/ca.pem", "rediss"),
        ("unix://:hush-hush@", "names no path"),
    ],
)
def test_a_wrong_address_is_refused_in_words_without_secrets(url: str, words: str) -> None:
    with pytest.raises(Invalid, match=words) as caught:
        parse(url)
    assert SECRET not in str(caught.value)


@given(st.text(max_size=60))
def test_nonsense_is_refused_or_read(text: str) -> None:
    for url in (text, f"redis://{text}", f"rediss://{text}"):
        try:
            assert parse(url).port in range(65536)
        except Invalid:
            continue
