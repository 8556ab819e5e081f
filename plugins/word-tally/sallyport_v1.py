"""Sallyport's plugin protocol, version 1, with nothing but the standard library (docs/protocol.md).

JSON-RPC 2.0, one object a line, over stdin and stdout. The main thread reads; each tool call runs in a thread of its own,
so that it can wait for an answer of the host. Whatever is printed to stderr is log text.
"""

import hashlib
import hmac
import itertools
import json
import os
import queue
import sys
import threading

TOOL_FAILED = -32000


class HostError(Exception):
    """The host refused a request; `code` says why (docs/errors.md)."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error.get("data", {}).get("code")


class Wire:
    """Writes messages, and matches answers of the host with the requests that wait for them."""

    def __init__(self):
        self.stdout = sys.stdout.buffer
        sys.stdout = sys.stderr  # a stray print() is a line of the log, not of the protocol
        self.writing = threading.Lock()
        self.ids = itertools.count(1)
        self.waiting = {}

    def send(self, **message):
        line = json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":"), ensure_ascii=False).encode()
        with self.writing:
            self.stdout.write(line + b"\n")
            self.stdout.flush()

    def request(self, method, params):
        answers = queue.SimpleQueue()
        with self.writing:  # ids have to be sent in order
            number = next(self.ids)
            self.waiting[number] = answers
            message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            self.stdout.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
            self.stdout.flush()
        answer = answers.get()
        if "error" in answer:
            raise HostError(answer["error"])
        return answer["result"]

    def answered(self, message):
        waiting = self.waiting.pop(message["id"], None)
        if waiting is not None:
            waiting.put(message)


class Call:
    """One tool call. Everything that it asks the host for names it, so that the audit can tell what it did."""

    def __init__(self, wire, params, config, secrets):
        self.wire, self.id, self.agent = wire, params["call_id"], params["agent"]
        self.config, self.secrets = config, secrets
        self.cancelled = threading.Event()

    def ask(self, method, /, **params):
        return self.wire.request(method, {"call": self.id, **params})

    def fetch(self, url, method="GET", headers=(), secrets=()):
        """A request through the host, which checks it and writes the named secrets into it. The whole body as bytes."""
        import base64

        answer = self.ask("fetch", url=url, method=method, headers=[list(pair) for pair in headers], body=None, upload=None,
                          redirect="follow", secrets=list(secrets))
        body = base64.b64decode(answer["body"] or "")
        while answer["stream"] is not None:
            part = self.ask("body.read", stream=answer["stream"])
            body += base64.b64decode(part["data"])
            if part["done"]:
                break
        return answer["status"], body

    def log(self, level, message):
        self.wire.send(method="log", params={"call": self.id, "level": level, "message": message})

    def progress(self, done, total):
        self.wire.send(method="progress", params={"call": self.id, "progress": done, "total": total})


def prove(params):
    """The handshake: shows that this is the process that the host has launched."""
    nonce = os.urandom(16).hex()
    transcript = f"sallyport-handshake-v1\n1\n{params['nonce']}\n{nonce}".encode()
    mac = hmac.new(bytes.fromhex(params["token"]), transcript, hashlib.sha256).hexdigest()
    return {"protocol": 1, "token": params["token"], "nonce": nonce, "mac": mac}


def serve(tools, initialize=lambda config: True):
    """Serves `tools`, a dict of name to function(arguments, call), until the host says stop or goes away."""
    wire, bound, calls = Wire(), {"config": {}, "secrets": {}}, {}

    def run(number, params):
        call = Call(wire, params, bound["config"], bound["secrets"])
        calls[call.id] = call
        try:
            wire.send(id=number, result={"output": tools[params["tool"]](params["input"], call)})
        except Exception as error:  # a failure of this call, never of the process
            wire.send(id=number, error={"code": TOOL_FAILED, "message": f"{type(error).__name__}: {error}",
                                        "data": {"kind": "tool_failed"}})
        finally:
            calls.pop(call.id, None)

    for line in sys.stdin.buffer:
        message = json.loads(line)
        method, number, params = message.get("method"), message.get("id"), message.get("params", {})
        if method is None:
            wire.answered(message)
        elif method == "hello":
            wire.send(id=number, result=prove(params))
        elif method == "bind":
            bound.update(config=params["config"], secrets=params["secrets"])
            wire.send(id=number, result={"tools": list(tools), "hooks": []})
        elif method == "initialize":
            wire.send(id=number, result={"ok": initialize(bound["config"]) is True})
        elif method == "call":
            threading.Thread(target=run, args=(number, params), daemon=True).start()
        elif method == "cancel":
            if params["call_id"] in calls:
                calls[params["call_id"]].cancelled.set()
        elif method == "ping":
            wire.send(id=number, result={})
        elif method == "shutdown":
            wire.send(id=number, result={})
            return
