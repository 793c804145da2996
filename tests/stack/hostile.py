"""What a hostile client may send to the filter before the Docker engine, as data.

LISTED and UNLISTED stand for two containers' names, ID_LISTED and ID_UNLISTED for their ids, SHORT_ for
an id's first 12 digits, UPPER_ for capitals. None of these requests may reach the engine.
"""

HOST = "Host: docker"


def get(path: str, *headers: str, version: str = "HTTP/1.1") -> bytes:
    return request("GET", path, *headers, version=version)


def post(path: str, *headers: str, body: str = "") -> bytes:
    return request("POST", path, *(headers or ("Content-Length: 0",)), body=body)


def request(method: str, path: str, *headers: str, version: str = "HTTP/1.1", body: str = "") -> bytes:
    lines = [f"{method} {path} {version}", HOST, *headers, "", body]
    return "\r\n".join(lines).encode("latin-1")


V = "/v1.41"
RESTART = f"{V}/containers/LISTED/restart"
JSON = f"{V}/containers/LISTED/json"
FORBIDDEN = f"{V}/containers/UNLISTED/restart"

# Other things that the engine can do: some of them are root on the machine.
OTHER_CALLS = {
    "create": post(f"{V}/containers/create", "Content-Type: application/json", "Content-Length: 2", body="{}"),
    "create without a body": post(f"{V}/containers/create"),
    "start": post(f"{V}/containers/LISTED/start"),
    "stop": post(f"{V}/containers/LISTED/stop"),
    "kill": post(f"{V}/containers/LISTED/kill"),
    "pause": post(f"{V}/containers/LISTED/pause"),
    "rename": post(f"{V}/containers/LISTED/rename?name=x"),
    "update": post(f"{V}/containers/LISTED/update"),
    "attach": post(f"{V}/containers/LISTED/attach?stream=1&stdin=1"),
    "exec": post(f"{V}/containers/LISTED/exec"),
    "exec start": post(f"{V}/exec/abc/start"),
    "wait": post(f"{V}/containers/LISTED/wait"),
    "remove": request("DELETE", f"{V}/containers/LISTED"),
    "logs": get(f"{V}/containers/LISTED/logs?stdout=1"),
    "top": get(f"{V}/containers/LISTED/top"),
    "export": get(f"{V}/containers/LISTED/export"),
    "archive": get(f"{V}/containers/LISTED/archive?path=/"),
    "put archive": request("PUT", f"{V}/containers/LISTED/archive?path=/", "Content-Length: 0"),
    "list": get(f"{V}/containers/json"),
    "list without a version": get("/containers/json"),
    "info": get(f"{V}/info"),
    "events": get(f"{V}/events"),
    "images": get(f"{V}/images/json"),
    "build": post(f"{V}/build"),
    "volumes": get(f"{V}/volumes"),
    "networks": get(f"{V}/networks"),
    "secrets": get(f"{V}/secrets"),
    "swarm": post(f"{V}/swarm/init"),
    "prune": post(f"{V}/containers/prune"),
    "session": post("/session"),
    "grpc": post("/grpc"),
    "versioned ping": get(f"{V}/_ping"),
    "root": get("/"),
    "metrics": get("/metrics"),
}

# Who is not on the list, under whatever name.
OTHER_NAMES = {
    "an unlisted name": post(FORBIDDEN),
    "an unlisted description": get(f"{V}/containers/UNLISTED/json"),
    "an unlisted id": post(f"{V}/containers/ID_UNLISTED/restart"),
    "a short unlisted id": post(f"{V}/containers/SHORT_UNLISTED/restart"),
    "the listed one by its id": post(f"{V}/containers/ID_LISTED/restart"),
    "the listed one by its short id": post(f"{V}/containers/SHORT_LISTED/restart"),
    "in capitals": post(f"{V}/containers/LISTED/restart".replace("LISTED", "UPPER_LISTED")),
    "a longer name": post(f"{V}/containers/LISTEDx/restart"),
    "a prefix": post(f"{V}/containers/filter/restart"),
    "no name": post(f"{V}/containers//restart"),
    "two names": post(f"{V}/containers/LISTED,UNLISTED/restart"),
    "a name with a slash before it": post(f"{V}/containers//LISTED/restart"),
}

# Ways to write a path that two readers may read differently.
PATHS = {
    "an escaped letter": post(f"{V}/containers/UNLISTED/%72estart"),
    "an escaped slash": post(f"{V}/containers/LISTED%2f..%2fUNLISTED/restart"),
    "escaped dots": post(f"{V}/containers/LISTED/%2e%2e/UNLISTED/restart"),
    "doubly escaped dots": post(f"{V}/containers/LISTED/%252e%252e/UNLISTED/restart"),
    "dots": post(f"{V}/containers/LISTED/../UNLISTED/restart"),
    "dots at the end": post(f"{V}/containers/LISTED/restart/../../UNLISTED/restart"),
    "two slashes": post(f"/{V}/containers/LISTED/restart"),
    "a dot": post(f"{V}/./containers/LISTED/restart"),
    "a semicolon": post(f"{V}/containers/LISTED;x/restart"),
    "a backslash": post(f"{V}/containers\\LISTED\\restart"),
    "a slash at the end": post(f"{RESTART}/"),
    "something after it": post(f"{RESTART}/x"),
    "no slash before it": post(RESTART[1:]),
    "a fragment": post(f"{RESTART}#x"),
    "an asterisk": request("OPTIONS", "*"),
    "an escaped null": get(f"{JSON}%00"),
    "no version": post("/containers/LISTED/restart"),
    "a version of three digits": post("/v1.411/containers/LISTED/restart"),
    "version 2": post("/v2.41/containers/LISTED/restart"),
    "a version before the version": post(f"/v1.40{RESTART}"),
    "an absolute URI": post(f"http://docker{RESTART}"),
    "an absolute URI of another": post(f"http://docker{FORBIDDEN}"),
    "another scheme": post(f"file://{RESTART}"),
}

QUERIES = {
    "another key": post(f"{RESTART}?signal=SIGKILL"),
    "a second key": post(f"{RESTART}?t=1&signal=SIGKILL"),
    "too long": post(f"{RESTART}?t=61"),
    "negative": post(f"{RESTART}?t=-1"),
    "no number": post(f"{RESTART}?t=x"),
    "nothing": post(f"{RESTART}?t="),
    "an escape": post(f"{RESTART}?t=%31"),
    "a description's size": get(f"{JSON}?size=1"),
    "a ping with a query": get("/_ping?x=1"),
}

METHODS = {
    "head": request("HEAD", JSON),
    "head of the ping": request("HEAD", "/_ping"),
    "in small letters": request("post", RESTART, "Content-Length: 0"),
    "get of a restart": get(RESTART),
    "post of a description": post(JSON),
    "connect": request("CONNECT", "docker:2375"),
    "trace": request("TRACE", JSON),
    "another one in a header": get(RESTART, "X-HTTP-Method-Override: POST"),
}

# Requests whose length, or protocol, two readers may see differently.
FRAMING = {
    "upgrade to tcp": get(JSON, "Connection: Upgrade", "Upgrade: tcp"),
    "upgrade to h2c": get(JSON, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
    "upgrade without saying what": get(JSON, "Connection: upgrade"),
    "a body": post(RESTART, "Content-Length: 2", body="{}"),
    "chunks": post(RESTART, "Transfer-Encoding: chunked", body="0\r\n\r\n"),
    "chunks, spelt otherwise": post(RESTART, "Transfer-Encoding: xchunked", body="0\r\n\r\n"),
    "a space before the colon": post(RESTART, "Transfer-Encoding : chunked", body="0\r\n\r\n"),
    "chunks and a length": post(RESTART, "Content-Length: 4", "Transfer-Encoding: chunked", body="0\r\n\r\n"),
    "two lengths": post(RESTART, "Content-Length: 0", "Content-Length: 5", body="GET /"),
    "a negative length": post(RESTART, "Content-Length: -1"),
    "expect": post(RESTART, "Content-Length: 0", "Expect: 100-continue"),
    "folded chunks": post(RESTART, "Transfer-Encoding:", " chunked", body="0\r\n\r\n"),
    "a folded length": post(RESTART, "Content-Length:", " 5", body="GET /"),
    "a null in a header": post(RESTART, "X-A: b\0c", "Content-Length: 0"),
    "a return in a header": post(RESTART, "X-A: b\rContent-Length: 9", "Content-Length: 0"),
    "a null in the path": get(f"{JSON}\0"),
    "HTTP/2 by its preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    "HTTP/3.0": get(JSON, version="HTTP/3.0"),
    "no version of HTTP": f"GET {JSON}\r\n\r\n".encode(),
    "TLS": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\r\n\r\n",
}

CASES = {
    f"{kind}: {name}": raw
    for kind, cases in {
        "call": OTHER_CALLS, "name": OTHER_NAMES, "path": PATHS, "query": QUERIES, "method": METHODS, "framing": FRAMING,
    }.items()
    for name, raw in cases.items()
}  # fmt: skip

# What passes, with the status of the engine's answer. Of requests that come together the first is
# answered, and the others are thrown away.
ALLOWED = {
    "ping": (get("/_ping"), 200),
    "version": (get("/version"), 200),
    "description": (get(JSON), 200),
    "restart": (post(f"{RESTART}?t=0"), 204),
    "restart without a query": (post(RESTART), 204),
    "a forbidden one behind it": (get("/_ping") + post(FORBIDDEN), 200),
    "HTTP/1.0": (get(JSON, version="HTTP/1.0"), 200),
    "a folded header, which is dropped": (post(RESTART, "X-A: b", " Content-Length: 9", "Content-Length: 0"), 204),
    "other headers, which are dropped": (get(JSON, "X-Registry-Auth: e30=", "Cookie: a=b"), 200),
}
