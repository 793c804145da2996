"""An MCP server with the tools, resources and prompts that the conformance suites ask for by name:
fixture.py PORT. It speaks both eras, as fastmcp does; what fastmcp cannot, the suites find missing."""

import asyncio
import base64
import sys
from typing import Annotated

import mcp_types as types
import uvicorn
from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.prompts import Message
from fastmcp.resources import ResourceContent, ResourceResult
from fastmcp.server.event_store import EventStore
from fastmcp.tools import ToolResult
from pydantic import Field

server = FastMCP("fixture")
PIXEL = base64.b64encode(
    bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")
    + bytes.fromhex("1f15c4890000000d49444154789c6360f8cfc0f01f00050001ff89993d1d0000000049454e44ae426082")
).decode()
SILENCE = base64.b64encode(b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0").decode()


def image() -> types.ImageContent:
    return types.ImageContent(type="image", data=PIXEL, mime_type="image/png")


def embedded(uri: str, mime_type: str = "text/plain", text: str = "A bolt of silk.") -> types.EmbeddedResource:
    resource = types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return types.EmbeddedResource(type="resource", resource=resource)


def tool(function):
    """A tool that the suites find described."""
    return server.tool(function, description=f"What the suites call {function.__name__}.")


def prompt(function):
    return server.prompt(function, description=f"What the suites call {function.__name__}.")


# Tools that answer ------------------------------------------------------------------------------


@tool
def test_simple_text() -> str:
    return "This is a simple text response for testing."


@tool
def test_image_content() -> ToolResult:
    return ToolResult(content=[image()])


@tool
def test_audio_content() -> ToolResult:
    return ToolResult(content=[types.AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")])


@tool
def test_embedded_resource() -> ToolResult:
    return ToolResult(content=[embedded("test://embedded-resource")])


@tool
def test_multiple_content_types() -> ToolResult:
    text = types.TextContent(type="text", text="Multiple content types test:")
    return ToolResult(content=[text, image(), embedded("test://mixed-content-resource", "application/json", "{}")])


@tool
def test_error_handling() -> str:
    raise ToolError("This tool intentionally returns an error for testing")


@tool
def json_schema_2020_12_tool(name: str | None = None) -> str:
    return f"Called for {name}"


@tool
def test_custom_headers(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    return f"In {region}"


# Tools that speak before they answer --------------------------------------------------------------


@tool
async def test_tool_with_logging(ctx: Context) -> str:
    for step in ("started", "processing data", "completed"):
        await ctx.info(f"Tool execution {step}")
        await asyncio.sleep(0.05)
    return "Logged."


@tool
async def test_tool_with_progress(ctx: Context) -> str:
    for progress in (0, 50, 100):
        await ctx.report_progress(progress, 100)
        await asyncio.sleep(0.05)
    return "Done."


@tool
async def test_reconnection(ctx: Context) -> str:
    """Closes its own stream; the answer is to be had on the next one."""
    await ctx.close_sse_stream()
    await asyncio.sleep(0.1)
    return "Answered after the reconnection."


@tool
async def test_sampling(prompt: str, ctx: Context) -> str:
    question = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=prompt))
    answer = await ctx.session.create_message([question], max_tokens=100, related_request_id=ctx.request_id)
    return f"LLM response: {answer.content.text}"


async def elicit(ctx: Context, message: str, properties: dict, required: list[str] = []) -> str:
    schema = {"type": "object", "properties": properties, "required": required}
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"User response: action={answer.action}, content={answer.content}"


@tool
async def test_elicitation(message: str, ctx: Context) -> str:
    text = {"type": "string", "description": "User's response"}
    return await elicit(ctx, message, {"username": text, "email": text}, ["username", "email"])


@tool
async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    statuses = {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"}
    properties = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": statuses,
        "verified": {"type": "boolean", "default": True},
    }
    return await elicit(ctx, "Please review the values", properties)


@tool
async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    plain = ["option1", "option2", "option3"]
    titled = [{"const": f"value{n}", "title": title} for n, title in enumerate(["First", "Second", "Third"], 1)]
    properties = {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    return await elicit(ctx, "Please choose", properties)


# Tools that ask by an interim result, since 2026-07-28 ------------------------------------------------

NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
ASK_NAME = types.ElicitRequest(params=types.ElicitRequestFormParams(message="What is your name?", requested_schema=NAME))
ASK_MODEL = types.CreateMessageRequest(
    params=types.CreateMessageRequestParams(
        messages=[types.SamplingMessage(role="user", content=types.TextContent(type="text", text="Capital of France?"))],
        max_tokens=100,
    )
)
ASK_ROOTS = types.ListRootsRequest()


def asking(state: str | None = None, **requests) -> types.InputRequiredResult:
    return types.InputRequiredResult(input_requests=requests or None, request_state=state)


def one_question(name: str, key: str, question, state: str | None = None) -> None:
    @server.tool(name=name, description=f"Asks for {key}.")
    async def answer(ctx: Context) -> str | types.InputRequiredResult:
        answers = ctx.input_responses or {}
        if key not in answers or (state and ctx.request_state != state):
            return asking(state, **{key: question})
        return f"state-ok: {answers[key].model_dump_json()}"


one_question("test_input_required_result_elicitation", "user_name", ASK_NAME)
one_question("test_input_required_result_sampling", "capital_question", ASK_MODEL)
one_question("test_input_required_result_list_roots", "client_roots", ASK_ROOTS)
one_question("test_input_required_result_request_state", "confirm", ASK_NAME, "kept")
one_question("test_input_required_result_tampered_state", "confirm", ASK_NAME, "kept")
one_question("test_streaming_elicitation", "user_name", ASK_NAME)


@tool
async def test_input_required_result_multiple_inputs(ctx: Context) -> str | types.InputRequiredResult:
    questions = {"user_name": ASK_NAME, "greeting": ASK_MODEL, "client_roots": ASK_ROOTS}
    if questions.keys() - (ctx.input_responses or {}).keys():
        return asking("several", **questions)
    return "All answered."


@tool
async def test_input_required_result_multi_round(ctx: Context) -> str | types.InputRequiredResult:
    answers = ctx.input_responses or {}
    if ctx.request_state is None:
        return asking("first", step1=ASK_NAME)
    if ctx.request_state == "first" and "step1" in answers:
        return asking("second", step2=ASK_NAME)
    return "Both rounds are done."


@tool
async def test_input_required_result_capabilities(ctx: Context) -> str | types.InputRequiredResult:
    """Asks for sampling alone, which is all that the suite's client says it can do."""
    return asking(None, question=ASK_MODEL) if not ctx.input_responses else "Answered."


@tool
async def test_missing_capability(ctx: Context) -> str | types.InputRequiredResult:
    return asking(None, question=ASK_MODEL) if not ctx.input_responses else "Answered."


# Resources and prompts ----------------------------------------------------------------------------


@server.resource("test://static-text", mime_type="text/plain")
def static_text() -> str:
    return "This is the content of the static text resource."


@server.resource("test://static-binary", mime_type="image/png")
def static_binary() -> bytes:
    return base64.b64decode(PIXEL)


@server.resource("test://template/{id}/data", mime_type="application/json")
def template(id: str) -> ResourceResult:
    return ResourceResult([ResourceContent(f'{{"id": "{id}"}}', mime_type="application/json")])


@server.resource("test://watched-resource", mime_type="text/plain")
def watched() -> str:
    return "Watched resource content"


@prompt
def test_simple_prompt() -> str:
    return "This is a simple prompt for testing."


@prompt
def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@prompt
def test_prompt_with_embedded_resource(resourceUri: str) -> list[Message]:
    return [Message(embedded(resourceUri)), Message("Please process the embedded resource above.")]


@prompt
def test_prompt_with_image() -> list[Message]:
    return [Message(image()), Message("Please analyze the image above.")]


@prompt
async def test_input_required_result_prompt(ctx: Context) -> str | types.InputRequiredResult:
    return asking(None, user_context=ASK_NAME) if not ctx.input_responses else "Answered."


@server.completion
def complete(ref, argument, context=None) -> list[str]:
    return [word for word in ("paris", "park", "party") if word.startswith(argument.value)]


app = server.http_app(path="/mcp", event_store=EventStore(), retry_interval=300, host_origin_protection=True)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", timeout_graceful_shutdown=1)
