"""The doors of `/openapi`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mooring.api import openapi, openapi_protobuf
from mooring.api.answers import answer
from mooring.errors import NotFound


def routes() -> list[Route]:
    """All of them."""
    return [
        Route("/openapi/v2", _whole, methods=["GET"]),
        Route("/openapi/v3", _index, methods=["GET"]),
        Route("/openapi/v3/{name:path}", _group, methods=["GET"]),
    ]


def _whole(request: Request) -> Response:
    if openapi_protobuf.ASKED in request.headers.get("accept", ""):
        return Response(openapi_protobuf.document(), media_type=openapi_protobuf.ANSWERED)
    return answer(openapi.v2())


def _index(request: Request) -> Response:
    return answer(openapi.index())


def _group(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in openapi.GROUPS:
        raise NotFound("NotFound", f"there is no group {name}")
    return answer(openapi.v3(name))
