"""How long: as people write it, and as tables show it."""

import re

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def parse(text: str) -> float:
    """Seconds; a bare number counts seconds. ValueError where it is no duration.

    >>> parse("1h30m"), parse("500ms"), parse("45")
    (5400.0, 0.5, 45.0)
    """
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration; expected one like 30s, 5m or 1h30m")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def short(seconds: float) -> str:
    """At most two units, the way kubectl shows ages; a moment to come counts as now.

    >>> short(119), short(299), short(7 * 86400 + 3600 * 5)
    ('119s', '4m59s', '7d5h')
    """
    total = max(int(seconds), 0)
    if total < 2 * _MINUTE:
        return f"{total}s"
    if total < 3 * _HOUR:
        return _two(total, _MINUTE, "m", "s", below=10)
    if total < 2 * _DAY:
        return _two(total, _HOUR, "h", "m", below=8)
    if total < 2 * _YEAR:
        return _two(total, _DAY, "d", "h", below=8)
    return _two(total, _YEAR, "y", "d", below=8)


def _two(total: int, size: int, unit: str, lesser: str, *, below: int) -> str:
    count, rest = divmod(total, size)
    rest //= int(UNITS[lesser])
    return f"{count}{unit}{rest}{lesser}" if count < below and rest else f"{count}{unit}"
