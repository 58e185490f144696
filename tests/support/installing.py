"""A stand-in for pip and npm."""

import asyncio
from pathlib import Path

from mooring.core.installing import Trouble
from mooring.core.packages import Package
from mooring.runtimes.contents import Contents
from mooring.runtimes.tool import Job
from mooring.runtimes.trouble import ToolFailed


class StandInTool:
    """Installs by writing a file; waits and fails as a test says."""

    def __init__(self) -> None:
        self.newest = "1.0"
        self.fitting = "1.0"
        """The newest whose requirements can be met."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.trouble: dict[str, Trouble | BaseException] = {}
        """By version."""
        self.resolved: list[bool] = []
        self.began: list[str] = []
        self.jobs: list[Job] = []
        self.at_work = 0
        self.most = 0
        self.programs = {"a": "bin/a"}
        self.begun = asyncio.Event()

    def interpreter(self, asked: Package) -> str:
        return "/usr/bin/python"

    async def resolve(self, asked: Package, job: Job, *, whole: bool) -> str:
        self.resolved.append(whole)
        return self.fitting if whole else self.newest

    async def install(self, exact: Package, directory: Path, job: Job) -> Contents:
        self.began.append(exact.requirement)
        self.jobs.append(job)
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        self.begun.set()
        try:
            (directory / "bin").mkdir(parents=True)  # fails where remains are in the way
            await self.gate.wait()
            trouble = self.trouble.get(exact.version)
            if isinstance(trouble, Trouble):
                raise ToolFailed(trouble)
            if trouble is not None:
                raise trouble
            (directory / "bin" / "a").touch()
            return Contents(exact.name, exact.version, f"sha256:{exact.version}", self.programs)
        finally:
            self.at_work -= 1

    def argv(self, program: Path) -> tuple[str, ...]:
        return (str(program),)
