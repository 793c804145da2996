"""A stand-in for Slack's incoming webhook, which keeps what it is sent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The engine's own bridge: containers reach it, and nothing outside the namespace does.
ADDRESS = "172.29.0.1"
PATH = "/services/T000/B000/secret"


class Receiver:
    def __init__(self):
        self.messages: list[dict] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == PATH:
                    receiver.messages.append(json.loads(body))
                self.send_response(200 if self.path == PATH else 404)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer((ADDRESS, 0), Handler)
        self.url = f"http://{ADDRESS}:{self.server.server_port}{PATH}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def told(self, component: str) -> list[str]:
        """The headlines of the health monitor's messages that say something of a component."""
        return [
            one["text"]
            for one in self.messages
            if one.get("text", "").startswith(":") and f"*{component}*:" in json.dumps(one)
        ]

    def about(self, component: str) -> list[str]:
        """The health monitor's messages that name a component in whatever way: Alertmanager's have
        no text of their own."""
        texts = [(one["text"], json.dumps(one)) for one in self.messages if one.get("text")]
        return [text for text, whole in texts if component in whole]

    def find(self, text: str) -> dict | None:
        """The first message that holds the text."""
        return next((one for one in self.messages if text in json.dumps(one)), None)
