"""Packages made on the spot, and places to get them from."""

import base64
import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HELLO = "def main():\n    print('hello from', __name__)\n"


def wheel(
    directory: Path,
    name: str,
    version: str = "1.0",
    scripts: Sequence[str] | None = None,
    requires: Sequence[str] = (),
) -> Path:
    """A wheel with these scripts (one of its own name, unless others are given)."""
    module = name.replace("-", "_")
    about = f"{module}-{version}.dist-info"
    required = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    points = "".join(
        f"{script} = {module}:main\n" for script in ([name] if scripts is None else scripts)
    )
    files = {
        f"{module}.py": HELLO,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\n{points}" if points else "",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{about}/RECORD"))
    path = directory / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in (*files.items(), (f"{about}/RECORD", record)):
            archive.writestr(inside, text)
    return path


def source(directory: Path, name: str, version: str = "1.0", setup: str = "") -> Path:
    """A source archive, whose setup.py runs when it is built."""
    module = name.replace("-", "_")
    call = f"from setuptools import setup\nsetup(name={name!r}, version={version!r})\n"
    path = directory / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        _add(archive, f"{name}-{version}/setup.py", setup + call)
        _add(archive, f"{name}-{version}/{module}.py", HELLO)
    return path


def tarball(manifest: Mapping[str, Any], files: Mapping[str, str]) -> bytes:
    """An npm package."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        _add(archive, "package/package.json", json.dumps(dict(manifest)))
        for path, text in files.items():
            _add(archive, f"package/{path}", text)
    return buffer.getvalue()


class Registry:
    """An npm registry in this process: package documents, and their tarballs."""

    def __init__(self) -> None:
        self.url = ""
        self.failing = 0
        """The status of every answer, unless 0."""
        self.held: threading.Event | None = None
        """Tarballs wait for it."""
        self.reached = threading.Event()
        """A tarball was asked for."""
        self._tarballs: dict[str, bytes] = {}
        self._versions: dict[str, dict[str, Any]] = {}

    def add(self, manifest: Mapping[str, Any], files: Mapping[str, str]) -> None:
        """Publishes a version; the one that is added last is the newest."""
        name, version = str(manifest["name"]), str(manifest["version"])
        packed = tarball(manifest, files)
        path = f"/tarballs/{name.replace('/', '-')}-{version}.tgz"
        self._tarballs[path] = packed
        digest = base64.b64encode(hashlib.sha512(packed).digest()).decode()
        dist = {"tarball": self.url + path, "integrity": f"sha512-{digest}"}
        self._versions.setdefault(name, {})[version] = {**manifest, "dist": dist}

    def answer(self, path: str) -> tuple[int, bytes]:
        if self.failing:
            return self.failing, b"{}"
        if path in self._tarballs:
            self.reached.set()
            if self.held is not None:
                self.held.wait(10)
            return 200, self._tarballs[path]
        name = path[1:].replace("%2f", "/").replace("%2F", "/")
        versions = self._versions.get(name)
        if versions is None:
            return 404, b'{"error": "Not found"}'
        tags = {"latest": next(reversed(versions))}
        document = {"_id": name, "name": name, "dist-tags": tags, "versions": versions}
        return 200, json.dumps(document).encode()


@contextmanager
def registry() -> Iterator[Registry]:
    """A registry that answers while the block lasts."""
    found = Registry()
    with web(found.answer) as url:
        found.url = url
        yield found
        if found.held is not None:
            found.held.set()


@contextmanager
def web(answer: Callable[[str], tuple[int, bytes]]) -> Iterator[str]:
    """A web server on a thread; its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _add(archive: tarfile.TarFile, path: str, text: str) -> None:
    member = tarfile.TarInfo(path)
    member.size = len(text.encode())
    member.mode = 0o755
    archive.addfile(member, io.BytesIO(text.encode()))
