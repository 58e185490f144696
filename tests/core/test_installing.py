"""What the last words of pip and npm mean; the words are theirs."""

import pytest

from mooring.core.installing import Trouble, clean, npm_trouble, pip_trouble, system_trouble
from mooring.core.packages import Package

TIME = Package("pypi", "mcp-server-time", version="1.1.1")
ODD = Package("npm", "is-odd")

ABSENT = """
ERROR: Could not find a version that satisfies the requirement mcp-server-time==1.1.1 (from versions: 0.5.1)
ERROR: No matching distribution found for mcp-server-time==1.1.1
"""  # noqa: E501

REFUSED = """
WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError'
ERROR: Could not find a version that satisfies the requirement mcp-server-time (from versions: none)
ERROR: No matching distribution found for mcp-server-time
"""

CONFLICT = """
ERROR: Cannot install mcp-server-time==2026.10.19 because these package versions have conflicts.

The conflict is caused by:
    The user requested mcp<1
    mcp-server-time 2026.10.19 depends on mcp<3 and >=2.3

To fix this you could try to:
1. loosen the range of package versions you've specified
ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/
"""


def pip(text: str, asked: Package = TIME) -> Trouble:
    return pip_trouble(asked, text.strip().splitlines())


def npm(text: str, asked: Package = ODD) -> Trouble:
    return npm_trouble(asked, text.strip().splitlines())


def test_a_version_that_pip_does_not_find_is_absent() -> None:
    found = Trouble("absent", "No matching distribution found for mcp-server-time==1.1.1")
    assert pip(ABSENT) == found


def test_a_requirement_that_pip_does_not_find_is_not_the_package() -> None:
    found = pip(ABSENT.replace("mcp-server-time==1.1.1", "tzlocal>=99"))
    assert found.kind == "conflict"
    assert "tzlocal>=99" in found.line


@pytest.mark.parametrize(
    "sign",
    [
        "WARNING: The repository located at x is not a trusted or secure host and is being ignored",
        "  Could not fetch URL http://x/simple/a/: 502 Server Error: Bad Gateway - skipping",
        "  Could not fetch URL http://x/simple/a/: 403 Client Error: Forbidden - skipping",
        "ERROR: HTTP error 503 while getting http://x/a.whl",
        "WARNING: Retrying (Retry(total=4)) after connection broken by 'ReadTimeoutError'",
    ],
)
def test_an_index_that_cannot_be_read_is_no_proof_of_absence(sign: str) -> None:
    assert pip(f"{sign}\n{ABSENT}").kind == "network"


def test_an_index_that_does_not_know_the_package_is_proof() -> None:
    told = "  Could not fetch URL http://x/simple/a/: 404 Client Error: Not Found - skipping"
    assert pip(f"{told}\n{ABSENT}").kind == "absent"


def test_the_network_is_blamed_in_its_own_words() -> None:
    assert pip(REFUSED).kind == "network"
    assert pip(REFUSED).line.startswith("Retrying")


def test_a_conflict_says_who_requires_what() -> None:
    found = pip(CONFLICT)
    assert found.kind == "conflict"
    assert found.line == (
        "The user requested mcp<1; mcp-server-time 2026.10.19 depends on mcp<3 and >=2.3"
    )


def test_a_full_disk_is_a_full_disk_whoever_says_so() -> None:
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    assert pip(said).kind == "no-space"
    assert npm("npm error code ENOSPC\nnpm error syscall write").kind == "no-space"
    assert system_trouble("[Errno 28] No space left on device: '/x'").kind == "no-space"
    assert system_trouble("[Errno 13] Permission denied: '/x'").kind == "other"


def test_anything_else_is_told_as_it_was_said() -> None:
    assert pip("Collecting a\nERROR: Exception: boom\n") == Trouble("other", "Exception: boom")
    assert pip("just this") == Trouble("other", "just this")
    assert pip("") == Trouble("other", "no output")


def test_npm_says_not_found_with_a_code() -> None:
    found = npm(
        """
npm error code E404
npm error 404 Not Found - GET https://registry.npmjs.org/is-odd
npm error 404
npm error 404  The requested resource 'is-odd@*' could not be found or you do not have permission
npm error A complete log of this run can be found in: /root/.npm/_logs/x.log
"""
    )
    assert found == Trouble("absent", "Not Found - GET https://registry.npmjs.org/is-odd")


def test_npm_says_that_there_is_no_such_version() -> None:
    said = "npm error code ETARGET\nnpm error notarget No matching version found for is-odd@99.0.0."
    assert npm(said) == Trouble("absent", "No matching version found for is-odd@99.0.0.")


@pytest.mark.parametrize(
    "said",
    [
        "npm error 404  The requested resource '@other/thing@1.0.0' could not be found",
        "npm error notarget No matching version found for @other/thing@99.0.0.",
    ],
)
def test_what_npm_misses_may_be_a_requirement(said: str) -> None:
    assert npm(f"npm error code E404\n{said}").kind == "conflict"


@pytest.mark.parametrize("code", ["ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "E502", "EAI_AGAIN"])
def test_npm_blames_the_network_with_many_codes(code: str) -> None:
    reason = "request to http://x/is-odd failed, reason: getaddrinfo ENOTFOUND x"
    said = f"npm error code {code}\nnpm error syscall getaddrinfo\nnpm error network {reason}"
    assert npm(said) == Trouble("network", reason)


def test_npm_words_of_an_older_version_are_known() -> None:
    assert npm("npm ERR! code EACCES\nnpm ERR! Your cache folder is not yours").kind == "other"


def test_credentials_and_control_characters_are_taken_out() -> None:
    assert clean("GET https://me:secret@x/simple \x1b[31mred") == "GET https://***@x/simple [31mred"
    assert len(clean("x" * 10_000)) == 500
