"""A server with OpenAI's chat API that answers by a model directory; the name of the model chooses its faults.

``python chat_server.py MODEL_DIR LOG`` prints its port. LOG gets a line of JSON for each request that is answered.

======== =============================================================================================
good     answers; with ``n``, the best n translations
flaky    refuses the first request of each line: 429, 500, silence, a closed connection or 429 without a time
single   gives one choice whatever ``n`` is
slow     answers after 50 ms
html     answers with a page
choices  answers with JSON of another form
broken   always gives 503
cut      reports that its answers were cut off
filter   reports that its answers were cut off by a filter, and a number of tokens that isn't known
wordy    reasons first, and answers in two lines
late     the same, but the beginning of the reasoning is part of the prompt
endless  reasons only
strict   refuses lines that have more than 60 characters
======== =============================================================================================
"""

import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import nmt

translator = nmt.load(sys.argv[1], "cpu")
lock = threading.Lock()
log = open(sys.argv[2], "a", encoding="utf-8")  # noqa: SIM115
seen: Counter[str] = Counter()
active = 0
FAULTS = ("429", "500", "silence", "close", "busy")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None: ...

    def answer(self, status: int, content: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content.encode())), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content.encode())

    def do_POST(self) -> None:
        global active
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            active += 1
        try:
            self.reply(body, body["model"], body["messages"][0]["content"])
        finally:
            with lock:
                active -= 1

    def reply(self, body: dict[str, Any], kind: str, text: str) -> None:
        if self.path != "/v1/chat/completions" or kind == "unknown":
            return self.answer(404, '{"error": {"message": "no such model"}}')
        if kind == "strict" and len(text.rpartition("\n\n")[2]) > 60:
            return self.answer(400, "too long")
        if kind == "html":
            return self.answer(200, "<html>Welcome</html>")
        if kind == "choices":
            return self.answer(200, '{"choices": [{"text": "Hallo"}]}')
        if kind == "broken":
            return self.answer(503, "overloaded", Retry_After="0")
        with lock:
            seen[f"{kind} {text}"] += 1
            fault = FAULTS[hash(len(text)) % len(FAULTS)] if kind == "flaky" and seen[f"{kind} {text}"] == 1 else ""
            log.write(
                json.dumps({"body": body, "active": active, "headers": dict(self.headers), "fault": fault}) + "\n"
            )
            log.flush()
        if fault == "429":
            return self.answer(429, "slow down", Retry_After="0")
        if fault in ("500", "busy"):
            return self.answer(500 if fault == "500" else 429, "oops")
        if fault:
            time.sleep(3 if fault == "silence" else 0)
            self.close_connection = True
            return None
        time.sleep(0.05 if kind == "slow" else 0)
        num = 1 if kind == "single" else body.get("n", 1)
        with lock:
            line = text.rpartition("\n\n")[2]
            found = translator.translate(line, num, beam_size=num, max_length=8).n_best
        contents = [candidate.text for candidate in found]
        if kind == "single":
            contents = [f"{contents[0]} {body.get('seed')}"]
        if kind == "wordy":
            contents = [f"<think>\nHmm.\n</think>\n\n{each}\nund\tso " for each in contents]
        if kind == "late":
            contents = [f"Hmm.\n</think>\n\n{each}\nund\tso" for each in contents]
        if kind == "endless":
            contents = [f"<think>\nHmm. {each}?" for each in contents]
        end = {"cut": "length", "filter": "content_filter"}.get(kind, "stop")
        tokens = None if kind == "filter" else 10 * len(contents)
        choices = [{"message": {"role": "assistant", "content": each}, "finish_reason": end} for each in contents]
        return self.answer(200, json.dumps({"choices": choices, "usage": {"total_tokens": tokens}}))


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
