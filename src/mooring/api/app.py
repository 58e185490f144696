"""The API: every path and who answers it.

Paths are those of a Kubernetes API, so that its tools work here; views and files are in a
group of their own.
"""

import asyncio
import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mooring import telemetry
from mooring.api import discovery, schemas
from mooring.api.answers import answer, failure
from mooring.api.audit import audit_refusal
from mooring.api.exploring import Exploring
from mooring.api.exposed import EXPOSED, Exposed
from mooring.api.gateways import Gateways
from mooring.api.looking import Looking
from mooring.api.manifests import Manifests
from mooring.api.namespaces import NamespaceFeed
from mooring.api.objects import Objects
from mooring.api.reach import Reach
from mooring.api.views import Computed, Views
from mooring.clock import Clock
from mooring.core.naming import CORE_PATH, VIEW_PATH
from mooring.core.ports import ObjectStore
from mooring.core.reporting import REPORTS, Reports
from mooring.errors import Invalid, MooringError, NotFound

INSTANCES = f"{VIEW_PATH}/namespaces/{{namespace}}/mcpinstances"
SERVERS = f"{VIEW_PATH}/namespaces/{{namespace}}/mcpservers"
VIRTUALS = f"{VIEW_PATH}/namespaces/{{namespace}}/virtualmcpservers"
ENDPOINTS = (SERVERS, VIRTUALS)


def make_app(
    store: ObjectStore, reach: Reach, clock: Clock, reports: Reports | None = None
) -> Starlette:
    """The API over a store. Setting `app.state.ending` ends its watches and followed logs.

    `reports`: where gateways of their own processes are heard, if there are any.
    """
    ending = asyncio.Event()
    looking = Looking(clock, ending)
    views = Views(store, reach, looking)
    namespaces = Computed(NamespaceFeed(store), looking)
    routes = [
        *_discovery(reach),
        *schemas.routes(),
        Route(f"{CORE_PATH}/namespaces", namespaces.collection, methods=["GET"]),
        Route(f"{CORE_PATH}/namespaces/{{name}}", namespaces.single, methods=["GET"]),
        *(route for exposed in EXPOSED for route in _objects(exposed, store, looking, clock)),
        Route(f"{VIEW_PATH}/mcpinstances", views.instances, methods=["GET"]),
        Route(INSTANCES, views.instances, methods=["GET"]),
        Route(f"{INSTANCES}/{{name}}", views.instance, methods=["GET"]),
        Route(f"{INSTANCES}/{{name}}/log", views.log, methods=["GET"]),
        Route(f"{INSTANCES}/{{name}}/probe", views.probe, methods=["POST"]),
        *(Route(f"{place}/{{name}}/tools", views.tools, methods=["GET"]) for place in ENDPOINTS),
        *(Route(f"{place}/{{name}}/call", views.call, methods=["POST"]) for place in ENDPOINTS),
        Route(f"{VIRTUALS}/{{name}}/view", Exploring(store, reach).view, methods=["GET"]),
        Route(f"{VIEW_PATH}/manifests", Manifests(store, clock).handle, methods=["POST", "DELETE"]),
    ]
    if reports is not None:
        gateways = Gateways(reports, clock)
        routes.append(Route(REPORTS, gateways.report, methods=["POST"]))
    app = Starlette(
        routes=routes,
        exception_handlers={
            MooringError: _refused,
            HTTPException: _no_such_door,
            Exception: _failed,
        },
    )
    app.router.redirect_slashes = False
    app.state.ending = ending
    return app


def _objects(exposed: Exposed, store: ObjectStore, looking: Looking, clock: Clock) -> list[Route]:
    doors = Objects(exposed, store, looking, clock)
    base, plural = exposed.naming.path, exposed.naming.plural
    inside = f"{base}/namespaces/{{namespace}}/{plural}"
    many = ["GET", "POST", "DELETE"] if exposed.declared else ["GET"]
    one = ["GET", "PUT", "PATCH", "DELETE"] if exposed.declared else ["GET"]
    routes = [
        Route(f"{base}/{plural}", doors.collection, methods=["GET"]),
        Route(inside, doors.collection, methods=many),
        Route(f"{inside}/{{name}}", doors.single, methods=one),
    ]
    if "status" in exposed.model.model_fields:
        status = ["GET", "PUT", "PATCH"]
        routes.append(Route(f"{inside}/{{name}}/status", doors.status, methods=status))
    return routes


def _discovery(reach: Reach) -> list[Route]:
    def release(_: Request) -> Response:
        return answer(discovery.release(reach.endpoints(), reach.door()))

    return [
        *discovery.routes(discovery.own()),
        Route("/version", release, methods=["GET"]),
        Route("/healthz", lambda _: PlainTextResponse("ok"), methods=["GET"]),
    ]


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, MooringError)
    audit_refusal(request, error)
    return failure(error, request)


async def _no_such_door(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        known = Invalid("MethodNotAllowed", f"{request.method} is not for {path}; {allowed} are")
        response = failure(known)
        response.headers["allow"] = allowed
        return response
    if error.status_code == 404:
        return failure(NotFound("NotFound", f"there is nothing at {path}"))
    return failure(Invalid("BadRequest", str(error.detail)))


async def _failed(request: Request, error: Exception) -> Response:
    """A mistake of ours; the server's log has the rest."""
    telemetry.event("api.failed", logging.ERROR, path=request.url.path, error=type(error).__name__)
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Mooring made a mistake; its log says more",
        "reason": "InternalError",
        "code": 500,
    }
    return answer(status, 500)
