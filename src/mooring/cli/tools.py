"""`moor tools` and `moor call`: ask a server, through the same path as a client."""

import json
import sys
import time
from typing import Any

import click

from mooring.cli.client import Api, json_body, path_of
from mooring.cli.completing import complete_server, complete_tool
from mooring.cli.failures import FAILED, NOT_FOUND, USAGE, Failure
from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.cli.output import as_json, as_yaml
from mooring.cli.tables import Table
from mooring.cli.targets import Target, endpoint, running
from mooring.core.arguments import typed
from mooring.core.printable import printable
from mooring.core.suggestion import did_you_mean

Tool = dict[str, Any]

SECONDS = 330.0
"""How long we wait for a call; Mooring itself gives up earlier, and says why."""
TEXT = 10_000_000


@click.command(
    name="tools",
    epilog="\b\nExamples:\n  moor tools time\n  moor tools time -o wide\n  moor tools vmcp/team",
)
@click.argument("server", metavar="SERVER", shell_complete=complete_server)
@click.option(
    "-o", "--output", "form", type=click.Choice(["wide", "json", "yaml", "name"]), help="Form."
)
@everywhere
@pass_invocation
def tools(invocation: Invocation, server: str, form: str | None) -> None:
    """List the tools of a server, or of a virtual one (vmcp/NAME).

    -o wide also shows their arguments; those that are required have a star.
    """
    target = _target(server, invocation)
    found = _tools(invocation.api, target)
    if form in ("json", "yaml"):
        print(as_json(found) if form == "json" else as_yaml(found).rstrip())
    elif form == "name":
        for tool in found:
            print(printable(tool["name"]))
    elif found:
        heads = ["NAME", "ARGUMENTS", "DESCRIPTION"] if form else ["NAME", "DESCRIPTION"]
        Table(heads).print([_row(tool, wide=bool(form)) for tool in found])
    else:
        click.echo(f"{target} has no tools.", err=True)


@click.command(
    name="call",
    epilog="\b\nExamples:\n  moor call time get_current_time timezone=UTC"
    '\n  moor call everything add a=1 b=2\n  moor call notes search --json \'{"tags": ["x"]}\'',
)
@click.argument("server", metavar="SERVER", shell_complete=complete_server)
@click.argument("tool", metavar="TOOL", shell_complete=complete_tool)
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE...]")
@click.option("--json", "document", metavar="OBJECT", help="The arguments as a JSON object.")
@click.option("-v", "--verbose", is_flag=True, help="Show on stderr what is sent and answered.")
@click.option(
    "-o", "--output", "form", type=click.Choice(["json"]), help="The whole result as JSON."
)
@everywhere
@pass_invocation
def call(invocation: Invocation, /, server: str, tool: str, **options: Any) -> None:
    """Call a tool. Values are typed by the tool's input schema.

    Text of the result goes to stdout. A result that says it is an error goes to stderr and ends
    with exit code 1.
    """
    target = _target(server, invocation)
    arguments = _arguments(invocation.api, target, tool, options["pairs"], options["document"])
    if options["verbose"]:
        _show("-->", {"method": "tools/call", "params": {"name": tool, "arguments": arguments}})
    began = time.monotonic()
    path = path_of(running(target), target.namespace, target.name, "call")
    body = json_body({"tool": tool, "arguments": arguments})
    result = invocation.api.send("POST", path, body, seconds=SECONDS)
    if options["verbose"]:
        _show("<--", {"result": result})
        click.echo(f"    {1000 * (time.monotonic() - began):.0f} ms", err=True)
    if result.get("isError"):
        said = "\n".join(_content(result)) or "no reason was given"
        raise Failure(f"tool {tool} of {target}: {said}", FAILED)
    if options["form"]:
        print(as_json(result))
        return
    for text in _content(result):
        print(text)


def _target(text: str, invocation: Invocation) -> Target:
    return endpoint(text, invocation.namespace)


def _tools(api: Api, target: Target) -> list[Tool]:
    path = path_of(running(target), target.namespace, target.name, "tools")
    found: list[Tool] = api.get(path)["items"]
    return found


def _row(tool: Tool, *, wide: bool) -> list[str]:
    about = str(tool.get("description") or tool.get("title") or "").strip().partition("\n")[0]
    if not wide:
        return [tool["name"], about]
    schema = tool.get("inputSchema") or {}
    required = schema.get("required") or ()
    known = [f"{key}*" if key in required else key for key in schema.get("properties") or ()]
    return [tool["name"], ",".join(known) or "<none>", about]


def _arguments(
    api: Api, target: Target, tool: str, pairs: tuple[str, ...], document: str | None
) -> dict[str, Any]:
    if document is not None:
        if pairs:
            raise Failure("give the arguments as key=value or by --json, not both", USAGE)
        return _json_object(document)
    split = [pair.partition("=") for pair in pairs]
    wrong = [pair for pair, (_, sign, _) in zip(pairs, split, strict=True) if not sign]
    if wrong:
        raise Failure(f"arguments are key=value; {wrong[0]!r} is none", USAGE)
    found = {each["name"]: each for each in _tools(api, target)}
    if tool not in found:
        near = did_you_mean(tool, found)
        hint = f"To see them: moor tools {target}"
        raise Failure(f"{target} has no tool {tool!r}.{near} {hint}", NOT_FOUND)
    schema = found[tool].get("inputSchema") or {}
    try:
        return typed([(key, value) for key, _, value in split], schema)
    except ValueError as error:
        raise Failure(f"tool {tool} of {target}:\n{error}", USAGE) from None


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Failure(f"--json: {error}", USAGE) from None
    if not isinstance(found, dict):
        raise Failure("--json: expected an object such as '{\"key\": 1}'", USAGE)
    return found


def _show(arrow: str, document: Any) -> None:
    click.echo(f"{arrow} {json.dumps(document, ensure_ascii=True)}", err=True)


def _content(result: dict[str, Any]) -> list[str]:
    """What a result says, piece by piece; text is left alone unless a terminal would act on it."""
    pieces = [_piece(each) for each in result.get("content") or ()]
    if not pieces and "structuredContent" in result:
        pieces = [as_json(result["structuredContent"])]
    if sys.stdout.isatty():
        return [printable(piece, TEXT, keep="\n\t") for piece in pieces]
    return pieces


def _piece(content: dict[str, Any]) -> str:
    match content.get("type"):
        case "text":
            return str(content.get("text", ""))
        case "image" | "audio" as kind:
            size = len(str(content.get("data", ""))) * 3 // 4
            return f"[{kind} {content.get('mimeType', '')}, {size} bytes; -o json shows it]"
        case "resource_link":
            return f"[link {content.get('uri', '')}]"
        case "resource":
            held = content.get("resource") or {}
            return str(held.get("text") or f"[{held.get('uri', '')}; -o json shows it]")
    return json.dumps(content, ensure_ascii=False)
