"""A server that has all the names which the official conformance suite calls, in both eras.

`conformance.py stdio`, or `conformance.py` for Streamable HTTP at /mcp of HOST and PORT (the
environment), with an event store, so that its streams can be resumed, and guarded against DNS
rebinding as the SDK guards by default.
"""

import os
import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import uvicorn
from conformance_catalogue import (
    DEFAULTS,
    ENUMS,
    PERSON,
    PLAIN_CONTENT,
    PROMPTS,
    RESOURCES,
    ROUNDS,
    STATELESS_STATE,
    TEMPLATE,
    TOOLS,
    Json,
    prompt_messages,
    resource,
    text,
)
from event_store import Events
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    CompleteResult,
    EmptyResult,
    GetPromptResult,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    ReadResourceResult,
    Result,
    SamplingMessage,
    SetLevelRequestParams,
)

Handler = Callable[[Any, Any], Awaitable[Any]]

CAPABILITIES = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""What a client must have declared to be asked."""
STEP = 0.05
RECONNECTED = 0.2
GIVEN_UP = 11.0

bus = InMemorySubscriptionBus()
subscribed: set[str] = set()


def answered(model: type[Result]) -> Callable[[Handler], Handler]:
    """Lets a handler answer in plain JSON; the SDK's model adds what the spoken version demands."""

    def typed(handler: Handler) -> Handler:
        async def answer(ctx: Any, params: Any) -> Any:
            given = await handler(ctx, params)
            asking = given.get("resultType") == "input_required"
            return (InputRequiredResult if asking else model).model_validate(given)

        return answer

    return typed


def said(words: str, **more: Any) -> Json:
    return {"content": [text(words)], **more}


def declared(ctx: Any) -> set[str]:
    capabilities = ctx.session.client_capabilities
    return set() if capabilities is None else set(capabilities.model_dump(exclude_none=True))


class Acting:
    """The tools that do something; each is the method of its name."""

    async def test_error_handling(self, ctx: Any, given: Json) -> Json:
        return said("This tool intentionally returns an error for testing", isError=True)

    async def test_tool_with_logging(self, ctx: Any, given: Json) -> Json:
        for words in ("started", "processing data", "completed"):
            await log(ctx, f"Tool execution {words}")
            await anyio.sleep(STEP)
        return said("logged")

    async def test_logging_tool(self, ctx: Any, given: Json) -> Json:
        await log(ctx, "Logged where the client asked for it")
        return said("logged")

    async def test_tool_with_progress(self, ctx: Any, given: Json) -> Json:
        for done in (0, 50, 100):
            await ctx.session.report_progress(done, 100, f"{done} of 100")
            await anyio.sleep(STEP)
        return said("progressed")

    async def test_sampling(self, ctx: Any, given: Json) -> Json:
        message = SamplingMessage(role="user", content=text(given["prompt"]))
        answer = await ctx.session.create_message(
            [message], max_tokens=100, related_request_id=ctx.request_id
        )
        return said(f"LLM response: {answer.content.text}")

    async def elicit(self, ctx: Any, message: str, schema: Json) -> Json:
        answer = await ctx.session.elicit_form(message, schema, ctx.request_id)
        return said(f"User response: action={answer.action}, content={answer.content}")

    async def test_elicitation(self, ctx: Any, given: Json) -> Json:
        return await self.elicit(ctx, given["message"], PERSON)

    async def test_elicitation_sep1034_defaults(self, ctx: Any, given: Json) -> Json:
        return await self.elicit(ctx, "Please look at the defaults", DEFAULTS)

    async def test_elicitation_sep1330_enums(self, ctx: Any, given: Json) -> Json:
        return await self.elicit(ctx, "Please choose", ENUMS)

    async def test_reconnection(self, ctx: Any, given: Json) -> Json:
        """Has the client lose its stream, and come back for the answer.

        Over HTTP the stream is closed once it has begun. Over stdio there is none to close, but
        the suite gives it up after 10 s, and comes back as well.
        """
        if ctx.close_sse_stream is None:
            await anyio.sleep(GIVEN_UP)
        else:
            await anyio.sleep(STEP)
            await ctx.close_sse_stream()
        await anyio.sleep(RECONNECTED)
        return said("reconnected")

    async def json_schema_2020_12_tool(self, ctx: Any, given: Json) -> Json:
        return said(f"contact {sorted(given)}")

    async def test_x_mcp_header(self, ctx: Any, given: Json) -> Json:
        return said(given["region"])

    async def test_missing_capability(self, ctx: Any, given: Json) -> Json:
        if "sampling" not in declared(ctx):
            raise MCPError(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                "sampling is needed",
                {"requiredCapabilities": {"sampling": {}}},
            )
        return said("sampling is there")

    async def test_trigger_tool_change(self, ctx: Any, given: Json) -> Json:
        await bus.publish(ToolsListChanged())
        return said("told")

    async def test_trigger_prompt_change(self, ctx: Any, given: Json) -> Json:
        await bus.publish(PromptsListChanged())
        return said("told")


acting = Acting()


async def log(ctx: Any, words: str) -> None:
    await ctx.session.send_log_message("info", words, related_request_id=ctx.request_id)


def missing(ctx: Any, name: str, params: Any) -> Json | None:
    """The result that asks for what this round still lacks; nothing when all rounds are done.

    The state counts the rounds that are answered; the SDK seals it on the way out and in.
    """
    rounds = ROUNDS[name]
    done = int(params.request_state or 0)
    responses = params.input_responses or {}
    if set(rounds[done]) <= set(responses):
        done += 1
    if done == len(rounds):
        return None
    asked = rounds[done]
    if name.endswith("_capabilities"):
        able = declared(ctx)
        asked = {key: ask for key, ask in asked.items() if CAPABILITIES[ask["method"]] in able}
    result: Json = {"resultType": "input_required", "inputRequests": asked}
    if name in STATELESS_STATE:
        result["requestState"] = str(done)
    return result


@answered(CallToolResult)
async def call_tool(ctx: Any, params: Any) -> Json:
    name, given = params.name, params.arguments or {}
    if name in PLAIN_CONTENT:
        return {"content": PLAIN_CONTENT[name]}
    if name in ROUNDS:
        answers = sorted(params.input_responses or {})
        return missing(ctx, name, params) or said(f"state-ok: {', '.join(answers)}")
    act = getattr(acting, name, None)
    if act is None:
        raise MCPError(INVALID_PARAMS, f"Unknown tool: {name}")
    result: Json = await act(ctx, given)
    return result


@answered(GetPromptResult)
async def get_prompt(ctx: Any, params: Any) -> Json:
    if params.name not in PROMPTS:
        raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.name}")
    asked = missing(ctx, params.name, params) if params.name in ROUNDS else None
    return asked or {"messages": prompt_messages(params.name, params.arguments or {})}


@answered(ReadResourceResult)
async def read_resource(ctx: Any, params: Any) -> Json:
    found = resource(str(params.uri))
    if found is None:
        raise MCPError(INVALID_PARAMS, "Resource not found", {"uri": str(params.uri)})
    return {"contents": [found]}


@answered(ListToolsResult)
async def list_tools(ctx: Any, params: Any) -> Json:
    return {"tools": TOOLS}


@answered(ListPromptsResult)
async def list_prompts(ctx: Any, params: Any) -> Json:
    listed = [
        {
            "name": name,
            "description": f"The suite's {name.replace('_', ' ')}",
            "arguments": [{"name": argument, "required": True} for argument in arguments],
        }
        for name, arguments in PROMPTS.items()
    ]
    return {"prompts": listed}


@answered(ListResourcesResult)
async def list_resources(ctx: Any, params: Any) -> Json:
    listed = [
        {"uri": uri, "name": uri, "description": "A resource", "mimeType": kept["mimeType"]}
        for uri, kept in RESOURCES.items()
    ]
    return {"resources": listed}


@answered(ListResourceTemplatesResult)
async def list_templates(ctx: Any, params: Any) -> Json:
    template = {"uriTemplate": TEMPLATE, "name": "template", "description": "By its id"}
    return {"resourceTemplates": [template]}


@answered(EmptyResult)
async def subscribe(ctx: Any, params: Any) -> Json:
    subscribed.add(str(params.uri))
    return {}


@answered(EmptyResult)
async def unsubscribe(ctx: Any, params: Any) -> Json:
    subscribed.discard(str(params.uri))
    return {}


@answered(CompleteResult)
async def complete(ctx: Any, params: Any) -> Json:
    begun = params.argument.value
    fitting = [word for word in ("paris", "park", "party") if word.startswith(begun)]
    return {"completion": {"values": fitting, "total": len(fitting), "hasMore": False}}


@answered(EmptyResult)
async def set_level(ctx: Any, params: Any) -> Json:
    return {}


server: Server[Any] = Server(
    "conformance",
    version="1.0",
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    on_list_prompts=list_prompts,
    on_get_prompt=get_prompt,
    on_list_resources=list_resources,
    on_list_resource_templates=list_templates,
    on_read_resource=read_resource,
    on_subscribe_resource=subscribe,
    on_unsubscribe_resource=unsubscribe,
    on_subscriptions_listen=ListenHandler(bus),
    on_completion=complete,
)
server.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
server.middleware.append(
    RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="conformance")
)


async def over_stdio() -> None:
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def over_http(host: str, port: int) -> None:
    """h11 trims the white space around a header's value, as HTTP demands; httptools does not."""
    app = server.streamable_http_app(event_store=Events(), retry_interval=100)
    uvicorn.run(app, host=host, port=port, log_level="warning", http="h11")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:] == ["stdio"]:
        anyio.run(over_stdio)
    else:
        over_http(os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"]))
