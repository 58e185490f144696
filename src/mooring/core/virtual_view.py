"""A view in the shape of a document: whose each tool is, and why others are not shown."""

from collections.abc import Mapping
from typing import Any

from mooring.core.aggregate import View
from mooring.core.virtual import Judgement


def document(judgement: Judgement, view: View, failures: Mapping[str, str]) -> dict[str, Any]:
    """Tools that clients see, what they do not see and why, and the backends."""
    return {
        "items": [
            {
                "name": tool.name,
                "backend": tool.backend,
                "original": tool.original,
                "estimatedTokens": tool.tokens,
            }
            for tool in view.tools.values()
        ],
        "hidden": [each._asdict() for each in view.hidden if each.kind == "tool"],
        "unmatched": list(view.unmatched),
        "backends": [
            {
                "name": each.name,
                "state": each.word,
                "listed": each.listed,
                "message": each.message,
                "failure": failures.get(each.name, ""),
            }
            for each in judgement.backends
        ],
    }
