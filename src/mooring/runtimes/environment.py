"""Which of Mooring's own variables others get to see.

A server sees a short list beside what it declares. pip and npm see that list and what
configures them: package indexes are set by variables, and so are proxies and certificates.
"""

import re
from collections.abc import Mapping

BASE = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")

INSTALLER = re.compile(
    r"(?:PIP|UV|NPM_CONFIG)_\w+|(?:HTTPS?|ALL|NO)_PROXY|XDG_CACHE_HOME"
    r"|SSL_CERT_(?:FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NODE_EXTRA_CA_CERTS",
    re.IGNORECASE,
)
ELSEWHERE = re.compile(
    r"PIP_(?:TARGET|PREFIX|ROOT|USER|SRC|REQUIREMENT|EDITABLE|PYTHON|REPORT|DRY_RUN|LOG)"
    r"|PIP_(?:REQUIRE_VIRTUALENV|REQUIRE_HASHES|NO_DEPS|QUIET|VERBOSE)"
    r"|NPM_CONFIG_(?:PREFIX|GLOBAL|LOCATION|DRY_RUN|LOGLEVEL|JSON|WORKSPACES?)",
    re.IGNORECASE,
)
"""Settings that would lead an installation to another place, or change what it prints."""


def base(own: Mapping[str, str]) -> dict[str, str]:
    """What every server sees, declared variables apart."""
    return {name: own[name] for name in BASE if name in own}


def installing(own: Mapping[str, str]) -> dict[str, str]:
    """What pip and npm see; never a variable that a server declares."""
    settings = {
        name: value
        for name, value in own.items()
        if INSTALLER.fullmatch(name) and not ELSEWHERE.fullmatch(name)
    }
    return {**base(own), **settings}
