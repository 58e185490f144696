"""What a watcher who looks through a selector is told.

An object that begins to match appears to him, one that ceases to match is gone to him,
whatever happened to it in truth.
"""

from typing import Literal

Told = Literal["ADDED", "MODIFIED", "DELETED"]


def told(happened: Told, matches: bool, seen: bool | None) -> Told | None:
    """How a change is told; `seen`: whether he holds the object, None where we cannot know.

    A watch that begins at a version knows nothing of what its watcher holds. Such a watcher
    is rather told once too often that something is gone than never.
    """
    if happened == "DELETED":
        return "DELETED" if matches or seen else None
    if not matches:
        gone = seen or (seen is None and happened == "MODIFIED")
        return "DELETED" if gone else None
    if seen is None:
        return happened
    return "MODIFIED" if seen else "ADDED"
