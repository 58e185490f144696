"""What the official conformance suite asks a server for: its fixed names, as plain JSON.

Tools, prompts, resources and forms in the shapes of the wire. What they do when they are
called is in `conformance.py`.
"""

import base64
import struct
import zlib
from typing import Any

Json = dict[str, Any]


def png() -> str:
    """One red pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\xff\0\0")
    image = chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + image).decode()


def wav() -> str:
    """Two samples of silence."""
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    body += b"data" + struct.pack("<I", 4) + bytes(4)
    return base64.b64encode(b"RIFF" + struct.pack("<I", len(body)) + body).decode()


IMAGE = {"type": "image", "data": png(), "mimeType": "image/png"}
AUDIO = {"type": "audio", "data": wav(), "mimeType": "audio/wav"}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def embedded(uri: str, words: str, mime: str = "text/plain") -> Json:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime, "text": words}}


def form(*required: str, **properties: Any) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


STRING = {"type": "string"}
PLAIN_CONTENT = {
    "test_simple_text": [text("This is a simple text response for testing.")],
    "test_image_content": [IMAGE],
    "test_audio_content": [AUDIO],
    "test_embedded_resource": [
        embedded("test://embedded-resource", "This is an embedded resource content.")
    ],
    "test_multiple_content_types": [
        text("Multiple content types test:"),
        IMAGE,
        embedded(
            "test://mixed-content-resource", '{"test":"data","value":123}', "application/json"
        ),
    ],
}
"""Tools that always answer the same."""

PERSON = form("username", "email", username=STRING, email=STRING)
DEFAULTS = form(
    name={"type": "string", "default": "John Doe"},
    age={"type": "integer", "default": 30},
    score={"type": "number", "default": 95.5},
    status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    verified={"type": "boolean", "default": True},
)


def titled(*titles: str) -> list[Json]:
    return [{"const": f"value{n}", "title": title} for n, title in enumerate(titles, 1)]


ENUMS = form(
    untitledSingle={"type": "string", "enum": ["option1", "option2", "option3"]},
    titledSingle={"type": "string", "oneOf": titled("First", "Second", "Third")},
    legacyEnum={
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    untitledMulti={
        "type": "array",
        "items": {"type": "string", "enum": ["option1", "option2", "option3"]},
    },
    titledMulti={"type": "array", "items": {"anyOf": titled("First", "Second", "Third")}},
)


def elicitation(message: str, **properties: Any) -> Json:
    """An elicitation as a server of the stateless era embeds it in its result."""
    schema = form(*properties, **properties)
    return {
        "method": "elicitation/create",
        "params": {"mode": "form", "message": message, "requestedSchema": schema},
    }


def sampling(words: str, tokens: int) -> Json:
    messages = [{"role": "user", "content": text(words)}]
    return {
        "method": "sampling/createMessage",
        "params": {"messages": messages, "maxTokens": tokens},
    }


ROOTS: Json = {"method": "roots/list", "params": {}}
NAME = elicitation("What is your name?", name=STRING)
CONFIRM = elicitation("Please confirm", ok={"type": "boolean"})

ROUNDS: dict[str, tuple[Json, ...]] = {
    "test_input_required_result_elicitation": ({"user_name": NAME},),
    "test_input_required_result_sampling": (
        {"capital_question": sampling("What is the capital of France?", 100)},
    ),
    "test_input_required_result_list_roots": ({"client_roots": ROOTS},),
    "test_input_required_result_request_state": ({"confirm": CONFIRM},),
    "test_input_required_result_tampered_state": ({"confirm": CONFIRM},),
    "test_input_required_result_multiple_inputs": (
        {
            "user_name": NAME,
            "greeting": sampling("Generate a greeting", 50),
            "client_roots": ROOTS,
        },
    ),
    "test_input_required_result_multi_round": (
        {"step1": elicitation("Step 1: What is your name?", name=STRING)},
        {"step2": elicitation("Step 2: What is your favorite color?", color=STRING)},
    ),
    "test_input_required_result_capabilities": (
        {"question": sampling("What is the capital of France?", 100), "user_name": NAME},
    ),
    "test_streaming_elicitation": ({"user_name": NAME},),
    "test_input_required_result_prompt": (
        {"user_context": elicitation("What context should the prompt use?", context=STRING)},
    ),
}
"""What is asked, round by round, before the tool (or the prompt) answers."""

STATELESS_STATE = {
    "test_input_required_result_request_state",
    "test_input_required_result_tampered_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
}
"""Those whose questions come with a `requestState`."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"
CONTACT: Json = {
    "$schema": DIALECT,
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": STRING, "city": STRING},
        }
    },
    "properties": {
        "name": STRING,
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": STRING,
        "email": STRING,
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
"""A schema whose every keyword must arrive."""

MIRRORED = form("region", region={"type": "string", "x-mcp-header": "Region"})
SCHEMAS = {
    "test_sampling": form("prompt", prompt=STRING),
    "test_elicitation": form("message", message=STRING),
    "json_schema_2020_12_tool": CONTACT,
    "test_x_mcp_header": MIRRORED,
}
ACTING = (
    "test_error_handling",
    "test_tool_with_logging",
    "test_tool_with_progress",
    "test_sampling",
    "test_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_reconnection",
    "json_schema_2020_12_tool",
    "test_x_mcp_header",
    "test_missing_capability",
    "test_logging_tool",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
)
"""Tools that do something, each a method of the server."""

TOOLS = [
    {
        "name": name,
        "description": f"The suite's {name.replace('_', ' ')}",
        "inputSchema": SCHEMAS.get(name, {"type": "object"}),
    }
    for name in (*PLAIN_CONTENT, *ACTING, *(n for n in ROUNDS if not n.endswith("_prompt")))
]

PROMPTS: dict[str, tuple[str, ...]] = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
    "test_input_required_result_prompt": (),
}


def prompt_messages(name: str, given: Json) -> list[Json]:
    contents = {
        "test_simple_prompt": [text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments": [
            text(f"Prompt with arguments: arg1='{given.get('arg1')}', arg2='{given.get('arg2')}'")
        ],
        "test_prompt_with_embedded_resource": [
            embedded(given.get("resourceUri", ""), "Embedded resource content for testing."),
            text("Please process the embedded resource above."),
        ],
        "test_prompt_with_image": [IMAGE, text("Please analyze the image above.")],
        "test_input_required_result_prompt": [text("The prompt in its context.")],
    }
    return [{"role": "user", "content": content} for content in contents[name]]


RESOURCES = {
    "test://static-text": {
        "mimeType": "text/plain",
        "text": "This is the content of the static text resource.",
    },
    "test://static-binary": {"mimeType": "image/png", "blob": png()},
    "test://watched-resource": {"mimeType": "text/plain", "text": "Watched resource content"},
}
TEMPLATE = "test://template/{id}/data"


def resource(uri: str) -> Json | None:
    """The resource's content, or nothing."""
    kept = RESOURCES.get(uri)
    if kept is not None:
        return {"uri": uri, **kept}
    before, after = TEMPLATE.split("{id}")
    if uri.startswith(before) and uri.endswith(after):
        key = uri[len(before) : -len(after)]
        words = f'{{"id":"{key}","templateTest":true,"data":"Data for ID: {key}"}}'
        return {"uri": uri, "mimeType": "application/json", "text": words}
    return None
