"""What the last words of pip or npm mean.

A package that does not exist is told from a network that does not answer: the first cannot
mend itself. pip hides the second behind the first (it retries, then says that it found no
version), so the signs of a bad network are looked for before anything else; it shows some of
them only when it is asked for every detail (`-vv`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from mooring.core.packages import Package, normal

LIMIT = 500
"""Characters of a tool's line that are shown."""

NO_SPACE = re.compile(r"ENOSPC|Errno 28\b|No space left on device", re.IGNORECASE)
PIP_NETWORK = re.compile(
    r"Retrying \(Retry\(|connection broken by|Max retries exceeded|Read timed out|ProxyError"
    r"|SSLError|HTTP error 5\d\d|5\d\d Server Error|not a trusted or secure host"
    r"|Could not fetch URL (?!.*: 404 )"
)
PIP_ABSENT = re.compile(r"No matching distribution found for ([A-Za-z0-9._-]+)")
PIP_CONFLICT = re.compile(r"ResolutionImpossible|conflicting dependencies")
NPM_CODE = re.compile(r"npm (?:error|ERR!) code (\S+)")
NPM_ABSENT = re.compile(r"'((?:@[^/@'\s]+/)?[^@'\s]+)@[^']*'|No matching version found for (\S+)@")
NPM_NETWORK = {"ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH",
               "ERR_SOCKET_TIMEOUT", "FETCH_ERROR", "EIDLETIMEOUT"}  # fmt: skip
NPM_SAYS = re.compile(r"[A-Za-z]{3} |[A-Za-z]{3}$")
NPM_ERRNO = re.compile(r"(?:syscall|errno|path|dest|hostname) \S*$")
CREDENTIALS = re.compile(r"//[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an installation failed."""

    kind: Literal["absent", "network", "no-space", "conflict", "other"]
    """`absent`: the package or that version of it does not exist."""
    line: str
    """The line of the tool that tells most; without credentials."""


def clean(line: str) -> str:
    """One line that may be shown: printable, bounded, credentials of URLs taken out."""
    shown = "".join(c if c.isprintable() else " " for c in CREDENTIALS.sub("//***@", line))
    return re.sub(r" {2,}", " ", shown).strip()[:LIMIT]


def system_trouble(text: str) -> Trouble:
    """What went wrong, from an error of the operating system."""
    return Trouble("no-space" if NO_SPACE.search(text) else "other", clean(text))


def pip_trouble(asked: Package, output: Sequence[str]) -> Trouble:
    """What went wrong, from pip's output."""
    line = _telling(output, ("ERROR: ", "error: "))
    if any(NO_SPACE.search(text) for text in output):
        return Trouble("no-space", line)
    if network := [text for text in output if PIP_NETWORK.search(text)]:
        return Trouble("network", clean(network[-1].removeprefix("WARNING: ")))
    absent = PIP_ABSENT.search(line)
    if absent and normal(absent[1]) == normal(asked.name):
        return Trouble("absent", line)
    if absent:
        return Trouble("conflict", line)
    if any(PIP_CONFLICT.search(text) for text in output):
        return Trouble("conflict", _conflict(output) or line)
    return Trouble("other", line)


def _conflict(output: Sequence[str]) -> str:
    """pip's list of who requires what, on one line."""
    heads = [n for n, text in enumerate(output) if text.startswith("The conflict is caused by")]
    if not heads:
        return ""
    listed = takewhile(lambda text: text.startswith(" "), output[heads[0] + 1 :])
    return clean("; ".join(text.strip() for text in listed))


def npm_trouble(asked: Package, output: Sequence[str]) -> Trouble:
    """What went wrong, from npm's output."""
    codes = [found[1] for text in output if (found := NPM_CODE.search(text))]
    code = codes[0] if codes else ""
    said = [text for text in output if not NPM_CODE.search(text) and "complete log" not in text]
    line = _first(said, ("npm error ", "npm ERR! "))
    line = re.sub(r"^(?:\d{3}|notarget|network)\s+", "", line)
    if code == "ENOSPC" or any(NO_SPACE.search(text) for text in output):
        return Trouble("no-space", line)
    if code in NPM_NETWORK or re.fullmatch(r"E5\d\d", code):
        return Trouble("network", line)
    if code in ("E404", "ETARGET"):
        names = {a or b for text in said for a, b in NPM_ABSENT.findall(text)}
        own = not names or asked.name in names
        return Trouble("absent" if own else "conflict", line)
    return Trouble("conflict" if code == "ERESOLVE" else "other", line)


def _telling(output: Sequence[str], starts: tuple[str, ...]) -> str:
    """The last line that starts like an error, else the last one with anything in it."""
    for text in reversed(output):
        for start in starts:
            if text.startswith(start):
                return clean(text.removeprefix(start))
    return clean(next((text for text in reversed(output) if text.strip()), "no output"))


def _first(output: Sequence[str], starts: tuple[str, ...]) -> str:
    """The first line with words in it that starts like an error."""
    for text in output:
        for start in starts:
            said = text.removeprefix(start)
            if said != text and NPM_SAYS.search(said) and not NPM_ERRNO.match(said):
                return clean(said)
    return clean(next((text for text in reversed(output) if text.strip()), "no output"))
