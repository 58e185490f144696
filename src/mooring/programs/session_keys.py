"""Which file holds the keys of sessions, and how they may be shown."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mooring.programs.places import Places
from mooring.programs.settings import Settings
from mooring.sessions.key_file import KeyFile


@dataclass(frozen=True, slots=True)
class Shown:
    """Keys, by what each is for and a name that does not give it away."""

    path: Path
    keys: tuple[tuple[str, str], ...]


def key_file(settings: Settings, places: Places) -> KeyFile:
    """The file that is set, else that of the data directory."""
    given = settings.session_key
    return KeyFile(Path(given).expanduser() if given else places.keys / "sessions.key")


def show(settings: Settings, places: Places) -> Shown:
    """The keys as they are, made where there are none."""
    file = key_file(settings, places)
    return _shown(file, file.keys())


def rotate(settings: Settings, places: Places, *, forget: bool) -> Shown:
    """The keys after a rotation; `forget`: all of them are new."""
    file = key_file(settings, places)
    return _shown(file, file.renew() if forget else file.rotate())


def _shown(file: KeyFile, keys: tuple[bytes, ...]) -> Shown:
    uses = ("seals", "next", *("opens" for _ in keys))
    names = (hashlib.sha256(b"name of a key" + key).hexdigest()[:12] for key in keys)
    return Shown(file.path, tuple(zip(uses, names, strict=False)))
