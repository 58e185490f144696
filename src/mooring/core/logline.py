"""A line of a server's log, as it stands in its file.

What a server writes to stderr becomes `TIMESTAMP TEXT`; what the keeper has to say about it
becomes `TIMESTAMP#TEXT`. A server cannot write the second form, because the prefix is not its
own. The timestamp is RFC 3339 in UTC with milliseconds, always 24 characters. One file tells
of all starts of an instance; each begins with the mark `started UID`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

STAMP_WIDTH = 24
STARTED = "started"
"""`started UID`: what follows is of this start."""
ENDED = "ended"
"""`ended UID code 1`, `ended UID signal 9`: this start is over."""
DROPPED = "dropped"
"""`dropped N lines`: they could not be written."""
KEPT = 3
"""Files that are kept: FILE, FILE.1 (older), FILE.2 (oldest)."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, taken apart."""

    at: datetime
    mark: bool
    """Said by the keeper, not by the server."""
    text: str
    """Without the line break; bytes that are no UTF-8 are replaced."""


def stamp(at: datetime) -> bytes:
    """The 24 characters that begin a line.

    >>> stamp(datetime(2026, 1, 2, 3, 4, 5, 678901, UTC))
    b'2026-01-02T03:04:05.678Z'
    """
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z".encode()


def mark(at: datetime, *words: object) -> bytes:
    """A whole line of the keeper's."""
    return stamp(at) + b"#" + " ".join(map(str, words)).encode() + b"\n"


def parse(line: bytes) -> LogLine | None:
    """The line taken apart; None for one that is not in this form.

    >>> parse(b"2026-01-02T03:04:05.678Z listening\\n").text
    'listening'
    """
    try:
        at = datetime.fromisoformat(line[:STAMP_WIDTH].decode())
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    kind = line[STAMP_WIDTH : STAMP_WIDTH + 1]
    if kind not in (b" ", b"#"):
        return None
    text = line[STAMP_WIDTH + 1 :].rstrip(b"\r\n").decode(errors="replace")
    return LogLine(at.astimezone(UTC), kind == b"#", text)
