"""Which objects are meant: label and field selectors, as Kubernetes writes them.

`app=web,tier!=db,env in (dev, test),owner,!legacy`: all parts must hold. An object without a
label satisfies `!=` and `notin`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

_KEY = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
_VALUE = r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_EQUALITY = re.compile(rf"(?P<key>{_KEY})\s*(?P<sign>==|=|!=)\s*(?P<value>{_VALUE})")
_SET = re.compile(rf"(?P<key>{_KEY})\s+(?P<sign>in|notin)\s*\((?P<values>[^()]*)\)")
_PRESENCE = re.compile(rf"(?P<not>!)?\s*(?P<key>{_KEY})")
_FIELD = re.compile(r"(?P<key>[A-Za-z.]+)(?P<sign>==|=|!=)(?P<value>[^,=!]*)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One part of a selector."""

    key: str
    wanted: Literal["in", "notin", "present", "absent"]
    values: frozenset[str] = frozenset()

    def holds(self, values: Mapping[str, str]) -> bool:
        """Whether these labels (or fields) satisfy it."""
        match self.wanted:
            case "present":
                return self.key in values
            case "absent":
                return self.key not in values
            case "in":
                return values.get(self.key) in self.values
        return values.get(self.key) not in self.values


Selector = tuple[Requirement, ...]


def holds(selector: Selector, values: Mapping[str, str]) -> bool:
    """Whether all parts hold; the empty selector holds for everything."""
    return all(requirement.holds(values) for requirement in selector)


def labels(text: str) -> Selector:
    """A label selector; ValueError where the text is none."""
    return tuple(_label_part(part) for part in _split(text))


def fields(text: str, known: Collection[str]) -> Selector:
    """A field selector over the known fields; ValueError where the text is none."""
    return tuple(_field_part(part, known) for part in _split(text))


def _split(text: str) -> list[str]:
    """At the commas that are not inside parentheses."""
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", text)]
    return [part for part in parts if part]


def _label_part(text: str) -> Requirement:
    if found := _EQUALITY.fullmatch(text):
        wanted: Literal["in", "notin"] = "notin" if found["sign"] == "!=" else "in"
        return Requirement(found["key"], wanted, frozenset({found["value"]}))
    if found := _SET.fullmatch(text):
        values = frozenset(value.strip() for value in found["values"].split(","))
        if all(re.fullmatch(_VALUE, value) for value in values):
            return Requirement(found["key"], "in" if found["sign"] == "in" else "notin", values)
    elif found := _PRESENCE.fullmatch(text):
        return Requirement(found["key"], "absent" if found["not"] else "present")
    raise ValueError(f"label selector: cannot read {text!r}; expected key=value, key in (a, b)")


def _field_part(text: str, known: Collection[str]) -> Requirement:
    found = _FIELD.fullmatch(text)
    if not found:
        raise ValueError(f"field selector: cannot read {text!r}; expected field=value")
    if found["key"] not in known:
        can = ", ".join(sorted(known))
        raise ValueError(f"field selector: {found['key']} is not a field to select by; {can} are")
    return Requirement(
        found["key"], "notin" if found["sign"] == "!=" else "in", frozenset({found["value"]})
    )
