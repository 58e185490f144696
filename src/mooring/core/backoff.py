"""How long to wait before something that failed is tried again.

Chance is an argument: a number from 0 up to 1, so that many who failed together do not all
come back together.
"""

FIRST_ATTEMPTS = 5
FIRST_DELAY = 30.0
LATER_DELAY = 300.0
RESTART_LIMIT = 60.0
PASS_DELAY = 0.5
PASS_LIMIT = 15.0
JITTER = 0.25


def retry(attempts: int) -> float:
    """Seconds until an instance that has failed so many attempts is tried again.

    >>> retry(1), retry(5), retry(6)
    (30.0, 30.0, 300.0)
    """
    return FIRST_DELAY if attempts <= FIRST_ATTEMPTS else LATER_DELAY


def restart(crashes: int, chance: float) -> float:
    """Seconds until an instance that had been ready is started again: at once, then doubling.

    >>> [restart(crashes, 0.5) for crashes in (1, 2, 3, 4, 50)]
    [0.0, 1.0, 2.0, 4.0, 60.0]
    """
    if crashes <= 1:
        return 0.0
    return _jittered(_doubled(1.0, crashes - 2, RESTART_LIMIT), chance)


def look_again(failures: int, chance: float) -> float:
    """Seconds until an object is looked at again whose last passes failed.

    >>> [look_again(failures, 0.5) for failures in (1, 2, 3, 50)]
    [0.5, 1.0, 2.0, 15.0]
    """
    return _jittered(_doubled(PASS_DELAY, failures - 1, PASS_LIMIT), chance)


def _doubled(first: float, times: int, limit: float) -> float:
    return min(limit, first * 2.0 ** min(times, 32))  # 2**32 is past any limit


def _jittered(delay: float, chance: float) -> float:
    """The delay, up to a quarter shorter or longer."""
    return delay * (1 - JITTER + 2 * JITTER * chance)
