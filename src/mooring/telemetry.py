"""Names of all logs, and the one way to write one.

A log line is an event name and fields, written at the edges only. Names live here so that
someone who greps for one finds it, and so that no two places invent the same one twice.
"""

import json
import logging
from typing import Any

_LOG = logging.getLogger("mooring")

LIMIT = 2048
"""Characters of a foreign string that are logged; the rest is cut."""


def event(name: str, level: int = logging.INFO, **fields: Any) -> None:
    """Writes one log line: the name, then `field=value` in the order given."""
    if _LOG.isEnabledFor(level):
        _LOG.log(level, "%s%s", name, "".join(f" {k}={_shown(v)}" for k, v in fields.items()))


def _shown(value: Any) -> str:
    """One line, printable: strings with anything unusual are quoted as JSON in ASCII."""
    text = value if isinstance(value, str) else str(value)
    if text.isprintable() and text.isascii() and " " not in text and text:
        return text[:LIMIT]
    return json.dumps(text[:LIMIT])
