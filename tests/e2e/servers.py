"""The third-party servers, how they are started, and what each test asks of them."""

import os
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

PYTHON = Path(os.environ["MCPMON_E2E_PYTHON"])
NODE_MODULES = Path(os.environ["MCPMON_E2E_NODE_MODULES"])
EVERYTHING = NODE_MODULES / "@modelcontextprotocol/server-everything/dist/index.js"
FILESYSTEM = NODE_MODULES / "@modelcontextprotocol/server-filesystem/dist/index.js"
MEMORY = NODE_MODULES / "@modelcontextprotocol/server-memory/dist/index.js"

INITIALIZE = "2025-11-25"
MODERN = "2026-07-28"

# The PyPI client's modes: `auto` asks `server/discover` first and falls back to `initialize`.
ERAS = {"legacy": INITIALIZE, "auto": MODERN}


@dataclass(frozen=True)
class Ask:
    """A tool call, how often it is made, and how it must be counted."""

    tool: str
    arguments: dict
    times: int = 1
    status: str = "success"
    error: tuple[str, str] | None = None
    counted_as: str | None = None

    @property
    def label(self) -> str:
        return self.counted_as or self.tool


@dataclass(frozen=True)
class Server:
    name: str
    command: list[str]
    asks: list[Ask]
    versions: dict[str, str] = field(default_factory=lambda: ERAS)

    @property
    def call_count(self) -> int:
        return sum(ask.times for ask in self.asks)


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
        {"legacy": INITIALIZE, "auto": INITIALIZE},
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
        {"legacy": INITIALIZE, "auto": INITIALIZE},
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
        {"legacy": INITIALIZE, "auto": INITIALIZE},
    )
