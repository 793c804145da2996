"""Stands in a pipe and keeps every byte: recorder.py FILE -- COMMAND...

Runs COMMAND, passes stdin, stdout and signals through unchanged, and writes each chunk to FILE
before it passes it on: one JSON object per line, `{"from": "client"|"server", "data": base64}`.
stderr and the exit code are COMMAND's own. It is the tests' independent witness of what a client
and a server said, so it knows nothing of the protocol.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import threading

CHUNK = 1 << 16


def pump(record, lock, sender, source, target):
    """Copies `source` to `target` until the end of either."""
    while chunk := os.read(source, CHUNK):
        line = json.dumps({"from": sender, "data": base64.b64encode(chunk).decode()})
        with lock:
            record.write(line + "\n")
            record.flush()
        view = memoryview(chunk)
        try:
            while view:
                view = view[os.write(target, view) :]
        except BrokenPipeError:
            break
    os.close(target)


def main():
    path, separator, *command = sys.argv[1:]
    assert separator == "--" and command, __doc__
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: child.send_signal(number))
    lock = threading.Lock()
    with open(path, "a", encoding="ascii") as record:
        requests = (record, lock, "client", 0, os.dup(child.stdin.fileno()))
        child.stdin.close()
        threading.Thread(target=pump, args=requests, daemon=True).start()
        replies = threading.Thread(target=pump, args=(record, lock, "server", child.stdout.fileno(), 1))
        replies.start()
        code = child.wait()
        replies.join()
    # Not sys.exit: the thread that waits for the client may never end.
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
