"""Pulling a request back."""

import asyncio
from typing import Any

import pytest

from mooring.gateway.leash import Leash, Leashes


def test_a_pulled_leash_ends_the_wait_and_the_task_goes_on(run: Any) -> None:
    async def story() -> None:
        leashes: Leashes = set()
        with Leash(leashes) as leash:
            assert leashes == {leash}
            asyncio.get_running_loop().call_soon(leash.pull)
            await asyncio.Event().wait()
        assert leash.pulled
        assert leashes == set()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(story())


def test_a_leash_that_nobody_pulls_does_nothing(run: Any) -> None:
    async def story() -> None:
        with Leash() as leash:
            pass
        leash.pull()
        assert not leash.pulled

    run(story())


def test_errors_pass(run: Any) -> None:
    async def story() -> None:
        with pytest.raises(ValueError, match="mine"), Leash():
            raise ValueError("mine")

    run(story())


def test_a_real_cancellation_is_not_swallowed(run: Any) -> None:
    async def story() -> None:
        started = asyncio.Event()
        leashes: Leashes = set()

        async def waiting() -> None:
            with Leash(leashes):
                started.set()
                await asyncio.Event().wait()

        for pulled_too in (False, True):
            started.clear()
            task = asyncio.ensure_future(waiting())
            await started.wait()
            if pulled_too:
                next(iter(leashes)).pull()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(story())
