"""An MCP server made with fastmcp, over Streamable HTTP or stdio: server.py PORT|stdio TOOL..."""

import sys

from fastmcp import FastMCP

way, *tools = sys.argv[1:]
server = FastMCP("atelier")


def sew(length_cm: int) -> str:
    return f"{length_cm} cm sewn"


for name in tools:
    server.tool(sew, name=name)

if way == "stdio":
    server.run(transport="stdio", show_banner=False)
else:
    server.run(transport="http", host="127.0.0.1", port=int(way), show_banner=False)
