"""The status page in a real browser: it shows what was posted, in light and in dark, without a
complaint of the browser's."""

import json
import re
import subprocess
import urllib.request
import zlib
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest

import parties
import servers
from exporter import running_exporter
from monitor import configuration, running_monitor

EVENTS = [
    {"type": "tool_call", "tool": "search <b>catalogue</b>", "status": "success", "duration_seconds": 0.042},
    {
        "type": "tool_call",
        "tool": "generate_3d",
        "status": "error",
        "error_type": "api_error",
        "reason": "upstream_5xx",
        "duration_seconds": 2.1,
    },
    {"type": "llm_tokens", "provider": "anthropic", "model": "claude-sonnet-4-5", "input": 1000, "output": 500},
]

NOTIFICATION = {
    "version": "4",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "McpErrorRatioHigh", "severity": "critical", "server": "boutique"},
            "annotations": {"summary": "half of the calls fail"},
            "startsAt": "2026-03-01T10:15:04Z",
        }
    ],
}


class Tables(HTMLParser):
    """The texts of each table body's rows, by the body's id, and of the elements with an id."""

    def __init__(self, page: str):
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.texts: dict[str, str] = {}
        self._body = self._element = None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        name = dict(attributes).get("id")
        if name:
            self._element = name
            self.texts.setdefault(name, "")
        if tag == "tbody":
            self._body = self.rows.setdefault(name, [])
        elif self._body is not None and tag == "tr":
            self._body.append([])
        elif self._body is not None and tag in ("td", "th"):
            self._body[-1].append("")

    def handle_endtag(self, tag):
        if tag == "tbody":
            self._body = None

    def handle_data(self, text):
        if self._body:
            self._body[-1][-1] += text
        elif self._element:
            self.texts[self._element] += text


def post(url: str, body: dict) -> None:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    assert urllib.request.urlopen(request, timeout=10).status in (202, 204)


def browse(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess:
    """Opens the page in a profile of its own, lets five seconds of the page's own time pass, and
    gives what the browser wrote."""
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    settings = [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", "--enable-logging=stderr"]
    command = [*browser, *settings, *arguments, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def complaints(browser: subprocess.CompletedProcess) -> list[str]:
    return re.findall(r"CONSOLE.*", browser.stderr)


def corner(picture: bytes) -> tuple[int, ...]:
    """The colour of a PNG's first pixel, which every filter leaves as it is."""
    data, place = b"", 8
    while place < len(picture):
        length, kind = int.from_bytes(picture[place : place + 4]), picture[place + 4 : place + 8]
        if kind == b"IDAT":
            data += picture[place + 8 : place + 8 + length]
        place += length + 12
    return tuple(zlib.decompress(data)[1:4])


@pytest.fixture
def page(exporter):
    post(f"{exporter.url}/v1/events", {"server": "boutique", "source": "b-1", "events": EVENTS})
    post(f"{exporter.url}/v1/alerts", NOTIFICATION)
    wait_for_totals(exporter)
    return exporter.url


def wait_for_totals(exporter) -> None:
    """What the page shows may be half a second old."""
    parties.eventually("totals", lambda: exporter.json("/api/v1/summary")["servers"], seconds=10)


def test_the_tables_show_what_was_posted(page, tmp_path):
    browser = browse(tmp_path, page, "--dump-dom")
    assert complaints(browser) == []
    shown = Tables(browser.stdout)
    (server,) = shown.rows["servers"]
    assert server[:2] == ["boutique", "2"]
    assert server[3] == "50.0 %"
    assert server[7:] == ["1,500", "$0.0105"]
    assert [row[:3] for row in shown.rows["tools"]] == [
        ["generate_3d", "boutique", "1"],
        ["search <b>catalogue</b>", "boutique", "1"],
    ]
    (failure,) = shown.rows["failures"]
    assert failure[1:5] == ["generate_3d", "boutique", "error", "api_error · upstream_5xx"]
    (alert,) = shown.rows["alerts"]
    assert alert[0] == "McpErrorRatioHigh" and alert[-1] == "half of the calls fail"
    assert shown.texts["verdict"].strip() == "UNKNOWN (traffic only)"
    assert "no server had 20 calls in the window" in browser.stdout


def test_an_exporter_without_calls_says_what_to_do(exporter, tmp_path):
    browser = browse(tmp_path, exporter.url, "--dump-dom")
    assert complaints(browser) == []
    ((hint,),) = Tables(browser.stdout).rows["servers"]
    assert hint.startswith("No calls yet. Put mcp-tap in front of an MCP server")


SCHEMES = pytest.mark.parametrize(("scheme", "setting"), [("dark", 0), ("light", 1)])


def photograph(folder: Path, url: str, scheme: str, setting: int) -> None:
    """The page shows itself in that scheme, and the browser has nothing against it."""
    picture = folder / f"{scheme}.png"
    arguments = [f"--blink-settings=preferredColorScheme={setting}", "--window-size=1200,900"]
    browser = browse(folder, url, *arguments, f"--screenshot={picture}")
    assert complaints(browser) == []
    brightness = sum(corner(picture.read_bytes())) / 3
    assert brightness < 64 if scheme == "dark" else brightness > 224


@SCHEMES
def test_the_page_follows_the_colour_scheme(scheme, setting, page, tmp_path):
    photograph(tmp_path, page, scheme, setting)


@pytest.fixture(scope="module")
def watched_page(tmp_path_factory):
    """The page of an exporter whose health monitor watches a whole server and broken ones."""
    folder = tmp_path_factory.mktemp("watched-page")
    repository = servers.make_repository(folder / "repository")
    with (
        parties.receiver() as api,
        parties.receiver(200, "<!doctype html><title>Sign in</title>", Content_Type="text/html") as website,
        parties.receiver(401, "", WWW_Authenticate="Bearer") as locked,
    ):
        components = {
            "api": {"kind": "http", "url": api.url},
            "git": {"kind": "mcp", "command": servers.git(repository).command},
            "locked": {"kind": "mcp", "url": f"{locked.url}/mcp"},
            "website": {"kind": "mcp", "url": f"{website.url}/mcp"},
        }
        with running_monitor(configuration(folder, components)) as monitor:
            monitor.operate("maintenance", "start", "locked", "--for", "30m", "--reason", "new <i>keys</i>")
            with running_exporter(folder, MCPMON__HEALTH_MONITOR__URL=monitor.url) as exporter:
                wanted = {"api": "healthy", "git": "healthy", "locked": "auth_required", "website": "http_up_mcp_broken"}
                exporter.wait_for_components(wanted)
                call = {"type": "tool_call", "status": "success", "duration_seconds": 0.01}
                calls = [call | {"tool": tool} for tool in ("git_log", "git_push")]
                post(f"{exporter.url}/v1/events", {"server": "git", "source": "g-1", "events": calls})
                wait_for_totals(exporter)
                yield exporter.url


def test_the_page_shows_the_components(watched_page, tmp_path):
    browser = browse(tmp_path, watched_page, "--dump-dom")
    assert complaints(browser) == []
    shown = Tables(browser.stdout)
    rows = {row[0]: row[1:] for row in shown.rows["components"]}
    assert {name: row[:2] for name, row in rows.items()} == {
        "api": ["http", "✓ healthy"],
        "git": ["mcp", "✓ healthy"],
        "locked": ["mcp", "⚠ auth required (in maintenance)"],
        "website": ["mcp", "✗ http up mcp broken"],
    }
    latencies, tools, _since, errors = zip(*(row[2:] for row in rows.values()), strict=True)
    assert all(re.fullmatch(r"\d+(\.\d+)? m?s", latency) for latency in latencies[:2]), latencies
    assert tools == ("–", "12 of 12", "–", "–")
    assert errors[:2] == ("–", "–")
    assert "new <i>keys</i>" in errors[2] and "HTML" in errors[3].upper()
    # Of a tool that no server lists, it is not known whether it can be called.
    assert {row[0]: row[-1] for row in shown.rows["tools"]} == {"git_log": "yes", "git_push": "–"}
    assert shown.texts["verdict"].strip() == "RED (health monitor)"
    assert "locked: in maintenance (new <i>keys</i>)" in shown.texts["left-out"]
    assert "alerts: no Alertmanager is configured" in shown.texts["left-out"]


@SCHEMES
def test_the_components_follow_the_colour_scheme(scheme, setting, watched_page, tmp_path):
    photograph(tmp_path, watched_page, scheme, setting)


# A fixture that speaks for remediation: what it answers is what its contract says, in the cases that
# a page can show. The service itself is looked at where it repairs something.
REPAIRS = {
    "mode": "act",
    "held": "coordination_unavailable",
    "leading": True,
    "incidents": [
        {
            "component": "api",
            "key": "api@1700000000000",
            "failure": "connection_refused",
            "decision": "wait",
            "reason": "cool_down",
            "detail": "for <b>5 min</b>",
            "since": 1700000000000,
        },
        {
            "component": "shop",
            "key": "shop@1700000000000",
            "failure": "timeout",
            "decision": "skip",
            "reason": "circuit_open",
            "detail": "",
            "since": 1700000000000,
        },
        {"component": "web", "key": "web@1", "failure": "timeout", "detail": "", "since": 1700000000000},
    ],
    "actions": [
        {
            "at": 1700000000000 + place,
            "component": "api",
            "incident": "api@1700000000000",
            "action": "restart container boutique",
            "result": result,
            "took_ms": took,
            "detail": detail,
        }
        for place, (result, took, detail) in enumerate([("success", 1200, ""), ("failed", 300, "exit <i>1</i>")])
    ],
    "circuits": ["_system", "shop"],
}


def asking_remediation(folder, reply):
    @contextmanager
    def both():
        with (
            parties.receiver(200, json.dumps(reply), Content_Type="application/json") as remediation,
            running_exporter(folder, MCPMON__REMEDIATION__URL=remediation.url) as exporter,
        ):
            parties.eventually("repairs", lambda: "mode" in exporter.json("/api/v1/status")["repairs"], seconds=20)
            yield exporter.url

    return both()


@pytest.fixture(scope="module")
def repairs_page(tmp_path_factory):
    with asking_remediation(tmp_path_factory.mktemp("repairs-page"), REPAIRS) as url:
        yield url


def test_the_page_shows_the_repairs_and_what_keeps_from_them(repairs_page, tmp_path):
    browser = browse(tmp_path, repairs_page, "--dump-dom")
    assert complaints(browser) == []
    shown = Tables(browser.stdout)
    assert shown.texts["repairs-note"].strip() == "Mode: act; held: it does not act without Redis."
    assert [row[:4] for row in shown.rows["blocked"]] == [
        ["api", "connection refused", "wait", "cool down: for <b>5 min</b>"],
        ["shop", "timeout", "skip", "circuit open"],
        ["web", "timeout", "–", "–"],
    ]
    assert [row[1:] for row in shown.rows["actions"]] == [
        ["api", "restart container boutique", "✗ failed", "300 ms", "exit <i>1</i>"],
        ["api", "restart container boutique", "✓ success", "1.20 s", "–"],
    ]
    assert "mcp-remediation close-circuit shop" in shown.texts["circuits"]
    assert "all components: their common budget" in shown.texts["circuits"]
    # Hidden is what says nothing.
    assert not re.search(r'id="(circuits|blocked-table|actions-table)"[^>]* hidden', browser.stdout)


@SCHEMES
def test_the_repairs_follow_the_colour_scheme(scheme, setting, repairs_page, tmp_path):
    photograph(tmp_path, repairs_page, scheme, setting)


def test_a_remediation_with_nothing_to_do_says_so(tmp_path):
    quiet = REPAIRS | {"mode": "dry_run", "held": None, "leading": False, "incidents": [], "actions": [], "circuits": []}
    with asking_remediation(tmp_path, quiet) as url:
        browser = browse(tmp_path, url, "--dump-dom")
    assert complaints(browser) == []
    shown = Tables(browser.stdout)
    assert shown.texts["repairs-note"].strip() == "Mode: dry run; another replica acts."
    assert shown.rows["blocked"] == [["No open incidents."]]
    assert shown.rows["actions"] == [["Nothing was repaired yet."]]
    assert re.search(r'id="circuits"[^>]* hidden', browser.stdout)


def test_without_remediation_the_page_says_so(exporter, tmp_path):
    browser = browse(tmp_path, exporter.url, "--dump-dom")
    assert complaints(browser) == []
    shown = Tables(browser.stdout)
    assert shown.texts["repairs-note"].strip().startswith("No remediation is configured")
    assert re.search(r'id="blocked-table"[^>]* hidden', browser.stdout)
