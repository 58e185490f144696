"""Which objects a command means: `server time`, `server/time`, `servers`, `server/team-a/time`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mooring.cli.failures import USAGE, Failure
from mooring.core.naming import BY_KIND, BY_WORD, NAMINGS, VIEW_PATH, Naming, label

SERVER = BY_KIND["MCPServer"]
RUNNING_SERVER = replace(SERVER, path=VIEW_PATH)
"""A server as one asks it for its tools, and calls them."""
VIRTUAL = BY_KIND["VirtualMCPServer"]
RUNNING_VIRTUAL = replace(VIRTUAL, path=VIEW_PATH)
INSTANCE = BY_KIND["MCPInstance"]
SECRET = BY_KIND["Secret"]
EVENT = BY_KIND["Event"]


@dataclass(frozen=True, slots=True)
class Target:
    """A kind and, where one is meant, an object of it."""

    naming: Naming
    namespace: str
    name: str = ""

    def __str__(self) -> str:
        return label(self.naming.kind, self.namespace, self.name)


def kind(word: str) -> Naming:
    """The kind that somebody means by a word."""
    found = BY_WORD.get(word.lower())
    if found is None:
        from mooring.core.suggestion import did_you_mean

        known = ", ".join(f"{naming.word}s" for naming in NAMINGS)
        near = did_you_mean(word, BY_WORD)
        raise Failure(f"there is no kind {word!r}.{near} Kinds are {known}.", USAGE)
    return found


def targets(words: Sequence[str], namespace: str) -> list[Target]:
    """What the words mean: a kind alone, a kind with names, or refs (`kind/name`)."""
    if not words:
        raise Failure("which kind? For example: moor get servers", USAGE)
    if any("/" in word for word in words):
        return [ref(word, namespace) for word in words]
    naming = kind(words[0])
    if len(words) == 1:
        return [Target(naming, namespace)]
    return [Target(naming, namespace, name) for name in words[1:]]


def named(words: Sequence[str], namespace: str, verb: str) -> list[Target]:
    """Like `targets`, where a kind alone is not enough."""
    found = targets(words, namespace)
    if not found[0].name:
        word = found[0].naming.word
        raise Failure(f"which {word}? For example: moor {verb} {word} NAME", USAGE)
    return found


def ref(text: str, namespace: str) -> Target:
    """One object: `server/time`, or `server/team-a/time`."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise Failure(f"{text!r} names no object; expected one like server/time", USAGE)
    inside = parts[1] if len(parts) == 3 else namespace
    return Target(kind(parts[0]), inside, parts[-1])


def server(text: str, namespace: str) -> Target:
    """A server, with or without the word: `time` or `server/time`."""
    found = endpoint(text, namespace)
    if found.naming is not SERVER:
        raise Failure(f"{text} is no server", USAGE)
    return found


def endpoint(text: str, namespace: str) -> Target:
    """A server, or with its word a virtual one: `time`, `server/time`, `vmcp/team`."""
    if "/" not in text:
        return Target(SERVER, namespace, text)
    found = ref(text, namespace)
    if found.naming not in (SERVER, VIRTUAL):
        raise Failure(f"{text} is no server", USAGE)
    return found


def running(target: Target) -> Naming:
    """Where one asks such an object for its tools, and calls them."""
    return RUNNING_VIRTUAL if target.naming is VIRTUAL else RUNNING_SERVER


def instances(words: Sequence[str], namespace: str, verb: str, *, only: bool) -> list[Target]:
    """Instances, with or without the word: `time-0`, `inst time-0`, `instance/time-0`.

    `only`: exactly one may be meant.
    """
    bare = bool(words) and "/" not in words[0] and words[0].lower() not in BY_WORD
    found = named(("instance", *words) if bare else words, namespace, verb)
    if any(target.naming is not INSTANCE for target in found):
        raise Failure(f"moor {verb} is for instances: moor {verb} inst NAME", USAGE)
    if only and len(found) != 1:
        raise Failure(f"moor {verb} takes one instance at a time", USAGE)
    return found
