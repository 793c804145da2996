"""An MCP server made with fastmcp, over Streamable HTTP: server.py PORT TOOL..."""

import sys

from fastmcp import FastMCP

port, *tools = sys.argv[1:]
server = FastMCP("atelier")


def sew(length_cm: int) -> str:
    return f"{length_cm} cm sewn"


for name in tools:
    server.tool(sew, name=name)

server.run(transport="http", host="127.0.0.1", port=int(port), show_banner=False)
