"""A stand-in for Slack's incoming webhook, which keeps what it is sent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The engine's own bridge: containers reach it, and nothing outside the namespace does.
ADDRESS = "172.29.0.1"
# How headlines about repairs end.
REPAIRS = ("stopped by a person", "was repaired", "did not help", "needs a person", "is in doubt")
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
        """What the health monitor's messages say of a component's state, each with its colour."""
        return [fact for fact in self.facts(component) if not fact.endswith(REPAIRS)]

    def facts(self, component: str) -> list[str]:
        """The headlines of the health monitor's messages that say something of a component. What comes
        together is one message with several of them; Alertmanager's have no text of their own."""
        facts = []
        for one in list(self.messages):
            if f"*{component}*:" in json.dumps(one) and one.get("text"):
                colour, _, text = one["text"].rpartition(": ")
                # Others may be in the same message, each by its name.
                ours = [fact for fact in text.split("; ") if component in fact or " components " in fact]
                # What was over before it was told is told as one.
                both = " was down and recovered"
                ours = [each for fact in ours for each in ([fact] if both not in fact else
                        [fact.replace(both, " is down"), fact.replace(both, " recovered")])]
                facts += [f"{colour}: {fact}" if colour else fact for fact in ours]
        return facts

    def find(self, text: str) -> dict | None:
        """The first message that holds the text."""
        return next((one for one in self.messages if text in json.dumps(one)), None)
