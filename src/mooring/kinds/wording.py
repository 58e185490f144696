"""Complaints about a document, in words for a person.

Turns what pydantic says about one field into a sentence with a path, and a hint where there is
one. Values are named only where they cannot be secret: numbers, switches, and words that are
checked against a list or a name's pattern; text of any other field is never repeated.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pydantic_core import ErrorDetails

from mooring.kinds.base import (
    BROKEN_RULE,
    LABEL,
    LABEL_VALUE,
    QUALIFIED,
    SUBDOMAIN,
    Object,
    Place,
)
from mooring.kinds.complaint import Complaint, did_you_mean, path_of, printable, type_of
from mooring.kinds.secret import SECRET_KEY
from mooring.kinds.server import ABSOLUTE, ENV_NAME, HEADER_NAME, HTTP_URL, URL_PATH
from mooring.kinds.shape import fields, paths, piece_at
from mooring.kinds.virtual import EXPOSED_NAME

_PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        LABEL: "lower-case letters, digits and '-', with a letter or digit at both ends",
        SUBDOMAIN: "lower-case letters, digits and '-' (in Secrets and Events also '.'), "
        "with a letter or digit at both ends",
        SECRET_KEY: "letters, digits, '-', '_' and '.'",
        QUALIFIED: "a name of at most 63 letters, digits, '-', '_' and '.', "
        "with or without a prefix such as example.com/",
        LABEL_VALUE: "letters, digits, '-', '_' and '.', with a letter or digit at both ends",
        ENV_NAME: "letters, digits and '_', not beginning with a digit",
        HTTP_URL: "a URL that begins with http:// or https://",
        URL_PATH: "a path that begins with / and has no spaces",
        HEADER_NAME: "the name of an HTTP header: letters, digits and '-'",
        EXPOSED_NAME: "letters, digits, '-' and '_'",
        ABSOLUTE: "an absolute path, except in a file that is applied",
    }
)
_NAMES = (LABEL, SUBDOMAIN)
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "string_type": "text",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "bool_type": "true or false",
        "tuple_type": "a list",
        "mapping_type": "a mapping",
        "dict_type": "a mapping",
        "model_type": "a mapping",
        "model_attributes_type": "a mapping",
        "datetime_type": "a time such as 2026-01-31T12:00:00Z",
    }
)
_LIMITS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "greater_than_equal": ("at least", "ge"),
        "less_than_equal": ("at most", "le"),
    }
)


def complaint(model: type[Object], error: ErrorDetails) -> Complaint:
    """One error of pydantic in words."""
    place: Place = tuple(step for step in error["loc"] if step != "[key]")
    told = _TELLERS.get(error["type"])
    if error["type"] == "extra_forbidden":
        return unknown_field(model, place)
    if error["type"] == BROKEN_RULE:
        below = error["ctx"]["place"]
        return Complaint(path_of((*place, *below)), error["ctx"]["sentence"])
    message, hint = told(error) if told else _typed(error)
    return Complaint(path_of(place), message, hint)


def unknown_field(model: type[Object], place: Place) -> Complaint:
    """A field that nobody knows: a neighbour of nearly that name, or its right place."""
    name = str(place[-1])
    piece = piece_at(model, place[:-1])
    hint = did_you_mean(name, fields(piece)) if piece else ""
    if not hint:
        elsewhere = sorted((path for path in paths(model) if path[-1] == name), key=len)
        wanted = [path for path in elsewhere if path[0] == "spec"]
        hint = f"did you mean {'.'.join(wanted[0])}?" if wanted else ""
    return Complaint(path_of(place), "unknown field", hint)


def _typed(error: ErrorDetails) -> tuple[str, str]:
    """A value of the wrong type, or an error of pydantic that has no words of ours."""
    wanted = _TYPES.get(error["type"])
    if wanted is None:
        return error["msg"].removeprefix("Value error, "), ""
    found = error["input"]
    hint = ""
    if wanted == "text" and isinstance(found, bool | int | float):
        hint = "put it in quotes"
    elif isinstance(found, str) and wanted in ("a whole number", "true or false"):
        hint = "take the quotes away"
    elif isinstance(found, str) and wanted == "a list":
        hint = "write [a, b], or one line with '- ' for each entry"
    return f"must be {wanted}, found {type_of(found)}", hint


def _missing(error: ErrorDetails) -> tuple[str, str]:
    return "is required", ""


def _limit(error: ErrorDetails) -> tuple[str, str]:
    words, key = _LIMITS[error["type"]]
    return f"must be {words} {error['ctx'][key]}, found {error['input']}", ""


def _choice(error: ErrorDetails) -> tuple[str, str]:
    expected = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
    found = error["input"]
    if not isinstance(found, str):
        return f"must be one of {', '.join(expected)}; found {type_of(found)}", ""
    hint = did_you_mean(found, expected)
    return f"must be one of {', '.join(expected)}; found {printable(found)}", hint


def _pattern(error: ErrorDetails) -> tuple[str, str]:
    pattern = error["ctx"]["pattern"]
    found = f"; found {printable(error['input'])}" if pattern in _NAMES else ""
    return f"must be {_PATTERNS.get(pattern, 'text like ' + pattern)}{found}", ""


def _long(error: ErrorDetails) -> tuple[str, str]:
    limit, found = error["ctx"]["max_length"], len(error["input"])
    return f"must have at most {limit} characters, found {found}", ""


def _short(error: ErrorDetails) -> tuple[str, str]:
    return "must not be empty", ""


def _time(error: ErrorDetails) -> tuple[str, str]:
    return f"must be {_TYPES['datetime_type']}", ""


_TELLERS: Mapping[str, Callable[[ErrorDetails], tuple[str, str]]] = MappingProxyType(
    {
        "missing": _missing,
        "greater_than_equal": _limit,
        "less_than_equal": _limit,
        "literal_error": _choice,
        "string_pattern_mismatch": _pattern,
        "string_too_long": _long,
        "string_too_short": _short,
        "too_short": _short,
        "datetime_from_date_parsing": _time,
        "datetime_parsing": _time,
    }
)
