"""The third-party servers, how they are started, and what each test asks of them."""

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

PYTHON = Path(os.environ["MCPMON_E2E_PYTHON"])
NODE_MODULES = Path(os.environ["MCPMON_E2E_NODE_MODULES"])
EVERYTHING = NODE_MODULES / "@modelcontextprotocol/server-everything/dist/index.js"
FILESYSTEM = NODE_MODULES / "@modelcontextprotocol/server-filesystem/dist/index.js"
MEMORY = NODE_MODULES / "@modelcontextprotocol/server-memory/dist/index.js"
# What runs with nothing newer than PyPI's mcp 1.x, and what is made with fastmcp, have environments of
# their own.
LEGACY = Path(os.environ["MCPMON_E2E_LEGACY"])
FASTMCP = [str(Path(os.environ["MCPMON_E2E_FASTMCP"], "python")), str(Path(__file__).parent / "fastmcp/server.py")]
# The project's own example, made with rmcp.
BOUTIQUE = Path(os.environ["MCPMON_BINARIES"], "boutique-server")

INITIALIZE = "2025-11-25"
MODERN = "2026-07-28"


@dataclass(frozen=True)
class Ask:
    """A tool call, how often it is made, and how it must be counted."""

    tool: str
    arguments: dict
    times: int = 1
    status: str = "success"
    error: tuple[str, str] | None = None
    counted_as: str | None = None
    # Made as a task, which the TypeScript client 1.x follows to its result.
    as_task: bool = False

    @property
    def label(self) -> str:
        return self.counted_as or self.tool


@dataclass(frozen=True)
class Server:
    name: str
    command: list[str]
    asks: list[Ask]
    newest: str = MODERN
    # Whether a session meets what another is about to leave behind.
    is_shared: bool = False

    @property
    def calls(self) -> list[Ask]:
        """Every call of a session, in its turn."""
        return [ask for ask in self.asks for _ in range(ask.times)]

    @property
    def call_count(self) -> int:
        return len(self.calls)


def make_repository(folder: Path) -> Path:
    """A git repository whose every byte, dates included, is the same on every run."""
    folder.mkdir()
    (folder / "README.md").write_text("Silk scarves, 90 × 90 cm.\n")
    signature = {"GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z"}
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "Open the shop"]):
        subprocess.run(
            ["git", "-c", "user.name=Rosa", "-c", "user.email=rosa@example.com", *arguments],
            cwd=folder,
            env=os.environ | signature,
            check=True,
        )
    return folder


IS_ERROR = ("tool_error", "is_error")
INVALID_PARAMS = ("validation_error", "invalid_params")


def git(repository: Path) -> Server:
    path = {"repo_path": str(repository)}
    return Server(
        "mcp-server-git",
        [str(PYTHON / "mcp-server-git"), "--repository", str(repository)],
        [
            Ask("git_status", path, times=3),
            Ask("git_log", path, times=2),
            Ask("git_show", path | {"revision": "no-such-revision"}, 2, "error", IS_ERROR),
            Ask("git_status", {"repo_path": "/"}, 1, "error", IS_ERROR),
            Ask("git_status", {}, 1, "error", IS_ERROR),
            Ask("git_push_force", path, 2, "error", INVALID_PARAMS, "_other"),
        ],
    )


def time() -> Server:
    return Server(
        "mcp-server-time",
        [str(PYTHON / "mcp-server-time"), "--local-timezone", "UTC"],
        [
            Ask("get_current_time", {"timezone": "Europe/Paris"}, times=20),
            Ask("get_current_time", {"timezone": "Mars/Olympus"}, 3, "error", IS_ERROR),
            Ask("convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}, times=2),
            Ask('"}\\ n{le="0', {}, 1, "error", INVALID_PARAMS, "_other"),
            Ask("set_clock", {}, 2, "error", INVALID_PARAMS, "_other"),
        ],
    )


def everything() -> Server:
    return Server(
        "server-everything",
        ["node", str(EVERYTHING), "stdio"],
        [
            Ask("echo", {"message": "Grüße, 世界"}, times=3),
            # More than a pipe holds, so it crosses in many pieces, some within a character.
            Ask("echo", {"message": "ü" * 500_000}),
            Ask("get-sum", {"a": 1, "b": 2}, times=2),
            Ask("get-sum", {"a": "one"}, 1, "error", IS_ERROR),
            Ask("trigger-long-running-operation", {"duration": 0.1, "steps": 2}),
            Ask("launch_rocket", {}, 2, "error", IS_ERROR, "_other"),
        ],
        INITIALIZE,
    )


def filesystem(folder: Path) -> Server:
    (folder / "care.txt").write_text("Wash cold. Grüße, 世界.\n")
    return Server(
        "server-filesystem",
        ["node", str(FILESYSTEM), str(folder)],
        [
            Ask("read_text_file", {"path": str(folder / "care.txt")}, times=3),
            Ask("write_file", {"path": str(folder / "large.txt"), "content": "ü" * 200_000}),
            Ask("read_text_file", {"path": str(folder / "large.txt")}),
            Ask("list_directory", {"path": str(folder)}),
            Ask("read_text_file", {"path": "/etc/passwd"}, 2, "error", IS_ERROR),
            Ask("read_text_file", {}, 1, "error", IS_ERROR),
            Ask("format_disk", {}, 2, "error", IS_ERROR, "_other"),
        ],
        INITIALIZE,
        is_shared=True,
    )


def memory() -> Server:
    """Its memory is a file in the folder where it is started, so each session begins with nothing."""
    silk = {"name": "silk", "entityType": "fabric", "observations": ["is woven"]}
    return Server(
        "server-memory",
        ["sh", "-c", f'MEMORY_FILE_PATH="$PWD/memory.jsonl" exec node {shlex.quote(str(MEMORY))}'],
        [
            Ask("create_entities", {"entities": [silk]}),
            Ask("search_nodes", {"query": "silk"}, times=3),
            Ask("read_graph", {}),
            Ask("add_observations", {"observations": [{"entityName": "wool", "contents": ["?"]}]}, 1, "error", IS_ERROR),
            Ask("forget_everything", {}, 2, "error", IS_ERROR, "_other"),
        ],
        INITIALIZE,
    )


def fetch(page: str) -> Server:
    """Without a `node` on its path, for which its library would install packages at the first page."""
    return Server(
        "mcp-server-fetch",
        ["env", f"PATH={PYTHON}", str(PYTHON / "mcp-server-fetch"), "--ignore-robots-txt", "--allow-private-ips"],
        [
            Ask("fetch", {"url": page}, times=2),
            Ask("fetch", {"url": page, "raw": True, "max_length": 20}),
            Ask("fetch", {"url": f"{page}/nowhere"}, 2, "error", IS_ERROR),
            Ask("fetch", {"url": "no address"}, 1, "error", IS_ERROR),
            Ask("buy", {"url": page}, 1, "error", INVALID_PARAMS, "_other"),
        ],
    )


def sqlite() -> Server:
    """Its database is a file in the folder where it is started. That a query failed it tells as a success, and
    so it is counted; an unknown tool, too."""
    return Server(
        "mcp-server-sqlite",
        [str(LEGACY / "mcp-server-sqlite"), "--db-path", "shop.db"],
        [
            Ask("create_table", {"query": "CREATE TABLE fabrics (name TEXT)"}),
            Ask("write_query", {"query": "INSERT INTO fabrics VALUES ('Grüße, 世界')"}, times=2),
            Ask("read_query", {"query": "SELECT name FROM fabrics"}, times=2),
            Ask("read_query", {"query": "SELECT name FROM nowhere"}),
            Ask("read_query", {}, 2, "error", IS_ERROR),
            Ask("drop_everything", {}, counted_as="_other"),
        ],
        INITIALIZE,
    )


FASTMCP_ASKS = [
    Ask("sew", {"length_cm": 3}, times=4),
    Ask("sew", {"length_cm": "much"}, 2, "error", IS_ERROR),
    Ask("rip", {}, 2, "error", IS_ERROR, "_other"),
]


def fastmcp() -> Server:
    return Server("atelier", [*FASTMCP, "stdio", "sew"], FASTMCP_ASKS)


# Calls that end before fate has a say, for what fate gives depends on the calls before.
BOUTIQUE_ASKS = [
    Ask("check_health", {}, times=4),
    Ask("price_dynamically", {"sku": "DS-1", "list_price": 90, "discount": 99}, 2, "error", IS_ERROR),
    Ask("upload_product_image", {"sku": "DS-1", "path": "../../etc/passwd"}, 1, "error", IS_ERROR),
    Ask("search_catalogue", {}, 2, "error", INVALID_PARAMS),
    Ask("sell_the_shop", {}, 1, "error", INVALID_PARAMS, "_other"),
]


def boutique() -> Server:
    return Server("boutique", [str(BOUTIQUE), "--stdio"], BOUTIQUE_ASKS)
