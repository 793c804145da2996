"""A client that takes its servers from a configuration, in the form that desktop clients have: client.py FILE.
Reads calls as JSON, [[tool, arguments], ...], and writes its tools, and for each call success or error."""

import asyncio
import json
import sys
from pathlib import Path

from fastmcp import Client


async def main(file: str) -> None:
    async with Client(json.loads(Path(file).read_text())) as client:
        tools = sorted(tool.name for tool in await client.list_tools())
        results = [
            await client.call_tool(tool, arguments, raise_on_error=False)
            for tool, arguments in json.load(sys.stdin)
        ]
    print(json.dumps([tools, ["error" if result.is_error else "success" for result in results]]))


asyncio.run(main(*sys.argv[1:]))
