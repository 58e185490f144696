"""Gateways report here, and hear of each other."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mooring.api.answers import JSON
from mooring.api.bodies import body, media_type
from mooring.clock import Clock
from mooring.core.reporting import Report, Reports
from mooring.errors import Invalid


class Gateways:
    """`…/gateways/NAME/report`."""

    def __init__(self, reports: Reports, clock: Clock) -> None:
        self._reports = reports
        self._clock = clock

    async def report(self, request: Request) -> Response:
        """Takes a report; the answer is what all other gateways told."""
        if media_type(request) != JSON:
            raise Invalid("UnsupportedMediaType", f"expected {JSON}")
        try:
            given = msgspec.json.decode(await body(request), type=Report)
        except msgspec.MsgspecError as error:
            raise Invalid("BadRequest", f"the body is no report: {error}") from None
        gateway = request.path_params["gateway"]
        answer = self._reports.hear(gateway, given, self._clock.monotonic())
        return Response(msgspec.json.encode(answer), media_type=JSON)
