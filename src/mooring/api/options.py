"""How something is to be deleted: the options of a request, from its body and its query."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from mooring.api.bodies import body, json_document
from mooring.api.looking import flag
from mooring.errors import Invalid

POLICIES = ("Orphan", "Background", "Foreground")


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What must be so, and whether it is done at all.

    How long it may take is accepted and means nothing: instances drain as their servers say.
    """

    uid: str = ""
    version: str = ""
    dry_run: bool = False
    policy: str = "Background"
    """What becomes of dependents, where there can be any."""


async def delete_options(request: Request) -> DeleteOptions:
    """The options of a request; Invalid "BadRequest" where they make no sense."""
    given = await json_document(request) if await body(request) else {}
    conditions = given.get("preconditions") or {}
    if not isinstance(conditions, Mapping):
        raise Invalid("BadRequest", "preconditions must be a mapping")
    dry = given.get("dryRun") or []
    if not isinstance(dry, list) or any(each != "All" for each in dry):
        raise Invalid("BadRequest", "dryRun: expected [All]")
    policy = request.query_params.get("propagationPolicy") or given.get("propagationPolicy")
    if policy is not None and policy not in POLICIES:
        raise Invalid("BadRequest", f"propagationPolicy: expected one of {', '.join(POLICIES)}")
    return DeleteOptions(
        str(conditions.get("uid") or ""),
        str(conditions.get("resourceVersion") or ""),
        bool(dry) or flag(request),
        policy or ("Orphan" if given.get("orphanDependents") is True else "Background"),
    )
