"""A stand-in for the model of Claude Code: a server that asks for one use of a tool, then ends."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StandInModel:
    """What the program asked the model, and its address."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[dict[str, Any]] = []

    def tools(self) -> str:
        """The names of all tools that the model was offered."""
        return " ".join(tool["name"] for body in self.requests for tool in body.get("tools", ()))

    def results(self) -> str:
        """The results of tools that the model was given, as JSON."""
        return json.dumps([_results_in(body) for body in self.requests])


@contextmanager
def stand_in_model(tool: str, tool_input: dict[str, Any]) -> Iterator[StandInModel]:
    """Serve a model that uses a tool once."""
    use = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": tool_input}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            model.requests.append(body)
            is_first = bool(body.get("tools")) and not _results_in(body)
            self._send(_answer(use if is_first else {"type": "text", "text": "done"}))

        def do_GET(self) -> None:
            self.send_error(404)

        def do_HEAD(self) -> None:
            self.send_error(404)

        def _send(self, data: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        model = StandInModel(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield model
        server.shutdown()


def _results_in(body: dict[str, Any]) -> list[Any]:
    contents = [m["content"] for m in body["messages"] if isinstance(m["content"], list)]
    return [block for content in contents for block in content if block["type"] == "tool_result"]


def _answer(block: dict[str, Any]) -> bytes:
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    if block["type"] == "text":
        start, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
    else:
        text = json.dumps(block["input"])
        start, delta = {**block, "input": {}}, {"type": "input_json_delta", "partial_json": text}
    stop = "end_turn" if block["type"] == "text" else "tool_use"
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": usage,
        },
        {"type": "message_stop"},
    ]
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()
