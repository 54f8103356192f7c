"""A language model for tests: a real HTTP server in OpenAI's dialect whose answers follow from the last message.

    calculate 6*7 · search <words> · time in Europe/Berlin · fetch http://…   `Let me see. ` and that tool call; several ask for several
    endless                 a tool call, again and again, whatever the tool says
    fail 500                that HTTP status
    wait 5                  nothing for 5 seconds, then the answer
    count 100               a hundred numbered words, one a chunk
    slowly 0.05 <words>     the words, one a chunk, with that pause before each
    cut <words>             half of the words, then the connection is gone
    anything else           `You said: …`, one word a chunk

After a tool has answered, the answer is `The tool said: …`. A history in which a tool call has no result right after it is refused
with 400, as OpenAI refuses it. What was asked is kept in `requests`, and by which key in `keys`.

From another process: `python -m tests.scripted_model --port 0` prints its address, to be used as OPENAI_BASE_URL.
Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import argparse
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["ScriptedModel"]

Message = dict[str, Any]

KEY_REFUSED = "refused"  # the one key that gets a 401
SUMMARY = "A summary of what was said."

# What a message asks for, the tool that does it, and the name of its argument.
TOOL_RULES = (
    (re.compile(r"calculate ([^,;]+?)(?: and |[,;]|$)"), "calculator", "expression"),
    (re.compile(r"search ([^,;]+?)(?: and |[,;]|$)"), "search_documents", "query"),
    (re.compile(r"time in (\S+)"), "current_time", "zone"),
    (re.compile(r"fetch (\S+)"), "fetch_url", "url"),
)


@dataclass
class Reply:
    """What the model answers with: words or tool calls, and how."""

    words: list[str] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    status: int = 200
    error: str = ""
    wait_s: float = 0.0
    pause_s: float = 0.0
    is_cut: bool = False


def reply_to(messages: list[Message]) -> Reply:
    """The scripted reply to a history."""
    if orphan := _unanswered(messages):
        return Reply(status=400, error=f"An assistant message with 'tool_calls' must be followed by tool messages: {orphan}")
    last = messages[-1]
    asked = next((_text(message) for message in reversed(messages) if message["role"] == "user"), "")
    if "Context Extraction Assistant" in asked:
        return Reply(words=_words(SUMMARY))
    if "endless" in asked:
        return Reply(calls=[("calculator", {"expression": "1+1"})])
    if last["role"] == "tool":
        return Reply(words=_words(f"The tool said: {' | '.join(_text(message) for message in _results(messages))}"))
    return _to_text(asked)


def _to_text(asked: str) -> Reply:
    calls = [(tool, {argument: found}) for rule, tool, argument in TOOL_RULES for found in rule.findall(asked)]
    if calls:
        return Reply(words=_words("Let me see. "), calls=calls)
    if found := re.search(r"\bfail (\d{3})", asked):
        return Reply(status=int(found[1]), error="The script says so.")
    if found := re.search(r"\bwait ([\d.]+)", asked):
        return Reply(words=_words(f"Waited {found[1]} s."), wait_s=float(found[1]))
    if found := re.search(r"\bcount (\d+)", asked):
        return Reply(words=[f"w{number} " for number in range(int(found[1]))])
    if found := re.search(r"\bslowly ([\d.]+) (.+)", asked, re.DOTALL):
        return Reply(words=_words(found[2]), pause_s=float(found[1]))
    if found := re.search(r"\bcut (.+)", asked, re.DOTALL):
        return Reply(words=_words(found[1]), is_cut=True)
    return Reply(words=_words(f"You said: {asked}"))


def _unanswered(messages: list[Message]) -> str:
    """The ids of tool calls without a result right after them, as OpenAI would name them."""
    missing: list[str] = []
    for index, message in enumerate(messages):
        wanted = {call["id"] for call in message.get("tool_calls") or ()}
        for following in messages[index + 1 :]:
            if not wanted or following["role"] != "tool":
                break
            wanted.discard(following["tool_call_id"])
        missing += sorted(wanted)
    return ", ".join(missing)


def _results(messages: list[Message]) -> list[Message]:
    """The tool messages at the end of a history."""
    results: list[Message] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        results.insert(0, message)
    return results


def _text(message: Message) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+\s*", text)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each small piece waits 40 ms for an acknowledgement
    server: _Server

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.server.model.requests.append(request)
        self.server.model.keys.append(key)
        if self.path.rstrip("/") != "/v1/chat/completions":
            return self._refuse(404, "There is no such address.")
        if key == KEY_REFUSED:
            return self._refuse(401, "Incorrect API key provided.")
        reply = reply_to(request["messages"])
        if reply.status != 200:
            return self._refuse(reply.status, reply.error)
        self.server.model.stopping.wait(reply.wait_s)
        if request.get("stream"):
            return self._stream(request["model"], reply)
        return self._send_json(200, _whole(request["model"], reply))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the tests look at `requests`."""

    def _refuse(self, status: int, message: str) -> None:
        self._send_json(status, {"error": {"message": message, "type": "scripted", "code": None}})

    def _send_json(self, status: int, values: dict[str, Any]) -> None:
        body = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, model: str, reply: Reply) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        deltas = list(_deltas(reply))
        if reply.is_cut:
            deltas = deltas[: len(deltas) // 2 + 1]
        try:
            for delta in deltas:
                self.server.model.stopping.wait(reply.pause_s)
                self._event(_chunk(model, delta, None))
            if not reply.is_cut:
                self._event(_chunk(model, {}, "tool_calls" if reply.calls else "stop"))
                self._write(b"data: [DONE]\n\n")
                self._write(b"")
        except OSError:
            self.server.model.hung_up.set()
        if reply.is_cut:
            self.close_connection = True

    def _event(self, values: dict[str, Any]) -> None:
        self._write(b"data: " + json.dumps(values).encode() + b"\n\n")

    def _write(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


def _deltas(reply: Reply) -> Iterator[dict[str, Any]]:
    """A reply in pieces; the arguments of a tool call come in two."""
    yield {"role": "assistant", "content": ""}
    for word in reply.words:
        yield {"content": word}
    for index, call in enumerate(_calls(reply)):
        arguments = call["function"]["arguments"]
        yield {"tool_calls": [{"index": index, **call, "function": {**call["function"], "arguments": arguments[:5]}}]}
        yield {"tool_calls": [{"index": index, "function": {"arguments": arguments[5:]}}]}


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{time.monotonic_ns()}_{index}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for index, (name, arguments) in enumerate(reply.calls)
    ]


def _chunk(model: str, delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 0, "model": model, "choices": [choice]}


def _whole(model: str, reply: Reply) -> dict[str, Any]:
    message: Message = {"role": "assistant", "content": "".join(reply.words) or None}
    if reply.calls:
        message["tool_calls"] = _calls(reply)
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if reply.calls else "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "chatcmpl-scripted", "object": "chat.completion", "created": 0, "model": model, "choices": [choice], "usage": usage}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # five hundred runs may ask at once
    model: ScriptedModel


class ScriptedModel:
    """The server, from `with ScriptedModel() as model:` to the end of the block.

    requests: the bodies it was sent, in order. keys: the API keys they came with.
    hung_up: set when a client left before its answer was whole.
    """

    def __init__(self, port: int = 0) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.hung_up = threading.Event()
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.model = self
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> ScriptedModel:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="scripted-model", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()


def main() -> None:
    """Serve until the process is ended; the first line printed is the address."""
    options = argparse.ArgumentParser(description="A scripted language model in OpenAI's dialect.")
    options.add_argument("--port", type=int, default=0)
    with ScriptedModel(options.parse_args().port) as model:
        print(model.base_url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
