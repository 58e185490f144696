"""A real kubectl against an API on loopback: every one that is on this machine."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20.0

PLACES = (shutil.which("kubectl"), str(ROOT / ".tools" / "kubectl" / "usr" / "bin" / "kubectl"))
FOUND = tuple(place for place in dict.fromkeys(PLACES) if place and Path(place).exists())
"""The one on the path, and Debian's, which is much older."""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Kubectl:
    """One kubectl with a configuration and a home of its own."""

    program: str
    environment: Mapping[str, str]

    def __call__(self, *arguments: str, text: str | None = None, **environment: str) -> Said:
        done = subprocess.run(
            [self.program, *arguments],
            input=text,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def following(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """A command that goes on, ended with the block."""
        with subprocess.Popen(
            [self.program, *arguments],
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def kubectl(program: str, url: str, home: Path) -> Kubectl:
    """A kubectl that talks to the API at a URL."""
    configuration = home / "kubeconfig"
    configuration.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: it\n"
        f"clusters: [{{name: it, cluster: {{server: '{url}'}}}}]\n"
        "contexts: [{name: it, context: {cluster: it, user: me}}]\nusers: [{name: me, user: {}}]\n"
    )
    kept = {key: os.environ[key] for key in ("PATH",) if key in os.environ}
    return Kubectl(program, {**kept, "HOME": str(home), "KUBECONFIG": str(configuration)})
