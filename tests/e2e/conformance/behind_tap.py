"""Runs a client with mcp-tap between it and its server: behind_tap.py COMMAND... URL.

The client gets the tap's address instead of the server's. Where it signs in, the server says its own
address in its metadata, and cannot be told another: there the tap stands in the server's place, as
it does when a public name leads to the tap."""

import os
import subprocess
import sys
from urllib.parse import urlsplit

from tap import running_tap

*command, url = sys.argv[1:]
server = urlsplit(url)
with running_tap(os.environ["MCP_EXPORTER_URL"], f"shop={url}") as tap:
    environment = dict(os.environ)
    if os.environ["MCP_CONFORMANCE_SCENARIO"].startswith("auth/"):
        environment["MCPMON_IN_PLACE"] = tap
    else:
        url = tap + server.path
    client = subprocess.run([*command, url], env=environment)
# Not before the tap has ended: it delivers what it saw when it is told to end.
sys.exit(client.returncode)
