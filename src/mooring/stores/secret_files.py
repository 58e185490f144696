"""Secrets in a directory of files, as Docker and Kubernetes mount them.

The key `token` of the secret `gitea-creds` is the file `gitea-creds/token`; secrets of other
namespaces than `default` are in a directory named like the namespace. One line end at the end of
a file is no part of the value, because editors and `echo` put it there. Nothing is written.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from mooring.core.secret_places import LIMIT, Found, NoSecret, SecretPlace, marked, usable

SECONDS = 10.0
"""How long the directory may take to answer."""

T = TypeVar("T")


class SecretFiles:
    """Satisfies `mooring.core.ports.SecretStore` for one directory."""

    def __init__(self, directory: Path, pepper: bytes, seconds: float = SECONDS) -> None:
        """`pepper` keeps guesses from being tried on the marks of values."""
        self._directory = directory
        self._pepper = pepper
        self._seconds = seconds

    async def read(self, place: SecretPlace) -> Found:
        """The value in the file of a place, or why there is none."""
        path = self._path(place)
        try:
            return await self._aside(lambda: self._read(place, path))
        except TimeoutError:
            wrong = f"does not answer within {self._seconds:g} s"
            return self._unreadable(wrong, "see whether what is mounted there is alive")

    async def stamps(self, asked: Iterable[SecretPlace]) -> Mapping[SecretPlace, Hashable]:
        """What changes when the file of a place does; nothing of it is read."""
        paths = {place: self._path(place) for place in asked}
        try:
            return await self._aside(lambda: {place: _stamp(paths[place]) for place in paths})
        except TimeoutError:
            return dict.fromkeys(paths, "silent")

    async def _aside(self, work: Callable[[], T]) -> T:
        async with asyncio.timeout(self._seconds):
            return await asyncio.to_thread(work)

    def _path(self, place: SecretPlace) -> Path:
        inside = () if place.namespace == "default" else (place.namespace,)
        return self._directory.joinpath(*inside, place.name, place.key)

    def _read(self, place: SecretPlace, path: Path) -> Found:
        remedy = f"put the value into {path}"
        about = f'key "{place.key}" of secret "{place.name}" (file {path})'
        try:
            content = _content(path)
        except (FileNotFoundError, NotADirectoryError):
            return self._absent(place, path)
        except OSError as error:
            wrong = f"{about} cannot be read: {error.strerror}"
            return NoSecret("SecretUnreadable", wrong, f"let Mooring (uid {os.getuid()}) read it")
        if content is None:
            return NoSecret("SecretUnusable", f"{about} is no file of at most 1 MiB", remedy)
        try:
            value = _without_line_end(content.decode())
        except UnicodeDecodeError:
            return NoSecret("SecretUnusable", f"{about} is not text", remedy)
        if not value:
            return NoSecret("SecretEmpty", f"{about} is empty", remedy)
        if not usable(value):
            return NoSecret("SecretUnusable", f"{about} is not text", remedy)
        return marked(place, value, self._pepper)

    def _absent(self, place: SecretPlace, path: Path) -> NoSecret:
        """What of a path is not there: the directory itself, the secret, or the key."""
        try:
            os.stat(self._directory)
        except OSError as error:
            wrong = f"cannot be read: {error.strerror}"
            return self._unreadable(wrong, "mount it, or start Mooring with another --secrets-dir")
        remedy = f"put the value into {path}"
        if path.parent.is_dir():
            wrong = f'secret "{place.name}" has no key "{place.key}" (no file {path})'
            return NoSecret("SecretKeyNotFound", wrong, remedy)
        wrong = f'secret "{place.name}" does not exist (no directory {path.parent})'
        return NoSecret("SecretNotFound", wrong, remedy)

    def _unreadable(self, wrong: str, remedy: str) -> NoSecret:
        where = f"the secrets directory {self._directory}"
        return NoSecret("SecretStoreUnreadable", f"{where} {wrong}", remedy)


def _content(path: Path) -> bytes | None:
    """What is in a file; None where it is none, or too large."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(LIMIT + 1)
    finally:
        os.close(descriptor)
    return content if len(content) <= LIMIT else None


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _stamp(path: Path) -> Hashable:
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    return (found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns)
