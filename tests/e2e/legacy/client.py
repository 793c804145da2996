"""A client of PyPI's mcp 1.x, which speaks no revision after 2025-11-25: client.py TRANSPORT URL, or
client.py stdio COMMAND [ARG...]. Reads calls as JSON, [[tool, arguments], ...], and writes what it got for
each."""

import json
import os
import sys

import anyio
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


async def ask(session: ClientSession, tool: str, arguments: dict) -> list:
    try:
        result = await session.call_tool(tool, arguments)
    except McpError as error:
        return ["error", error.error.message]
    content = [block.model_dump(mode="json", exclude_none=True) for block in result.content]
    return ["error" if result.isError else "success", content]


def connect(transport: str, target: str, arguments: tuple[str, ...]):
    if transport == "stdio":
        return stdio_client(StdioServerParameters(command=target, args=list(arguments), env=dict(os.environ)))
    return sse_client(target) if transport == "sse" else streamablehttp_client(target)


async def main(transport: str, target: str, *arguments: str) -> None:
    async with connect(transport, target, arguments) as streams, ClientSession(*streams[:2]) as session:
        await session.initialize()
        tools = sorted(tool.name for tool in (await session.list_tools()).tools)
        answers = [await ask(session, tool, arguments) for tool, arguments in json.load(sys.stdin)]
    print(json.dumps([tools, answers]))


anyio.run(main, *sys.argv[1:])
