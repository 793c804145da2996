"""mcp-tap in front of a server over HTTP."""

import contextlib
import subprocess
from collections.abc import Iterator

from exporter import BINARIES, read_until


@contextlib.contextmanager
def running_tap(exporter_url: str, upstream: str, *options: str) -> Iterator[str]:
    """A tap in front of that server; gives its address. SIGTERM must end it well."""
    process = subprocess.Popen(
        [BINARIES / "mcp-tap", "--exporter", exporter_url, "--listen", "127.0.0.1:0", "--upstream", upstream, *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield read_until(process.stdout, r"listening on (http://127\.0\.0\.1:\d+)")
        process.terminate()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
