"""Proxies that are not transparent, so that the tests can see that they would notice: lossy.py HOW URL,
where HOW is `header` (Mcp-Session-Id does not come back) or `buffer` (a response goes on when it is
whole). Says where it listens."""

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

how, url = sys.argv[1:]
LOST = {"connection", "transfer-encoding", "keep-alive"} | ({"mcp-session-id"} if how == "header" else set())


class Handler(BaseHTTPRequestHandler):
    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server = http.client.HTTPConnection(urlsplit(url).netloc)
        server.request(self.command, self.path, body, {**self.headers, "Host": urlsplit(url).netloc})
        answer = server.getresponse()
        whole = answer.read() if how == "buffer" else b""
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in LOST:
                self.send_header(name, value)
        # The response ends with its connection.
        self.end_headers()
        self.wfile.write(whole)
        while chunk := answer.read1():
            self.wfile.write(chunk)
            self.wfile.flush()

    do_GET = do_POST = do_DELETE = forward

    def log_message(self, *_):
        pass


proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"listening on http://127.0.0.1:{proxy.server_port}", flush=True)
proxy.serve_forever()
