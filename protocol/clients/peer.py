"""A worker that plays a part: tests start it in place of the real one, for what the real one never does.

    peer.py PART serve ...

Parts: `future` speaks a later version of the protocol, with members, notifications and values that this one does not
know; `thinker` reasons before its answer; `noisy` has stray lines in its output; `crash` ends at each request but `initialize`; `deaf` reads and never
answers.
"""

import json
import os
import sys

CAPABILITIES = {"methods": [], "notifications": [], "response_formats": [], "choices": True, "speculation": True}
NO_LIMITS = ("max_batch_entries", "max_in_flight", "max_queued_bytes", "max_tokens", "max_choices", "max_logprobs",
             "max_stop_strings")
LIMITS = {"max_frame_bytes": 1000, "max_queued": 4, **dict.fromkeys(NO_LIMITS, 1000)}
USAGE = dict.fromkeys(("prompt_tokens", "cached_tokens", "completion_tokens", "drafted_tokens", "accepted_tokens"), 1)
TIMING = dict.fromkeys(("queue_ms", "prefill_ms", "decode_ms", "total_ms"), 0.5)


def write(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def main():
    part = sys.argv[1]
    print("one line of the log", file=sys.stderr, flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        answer = {"id": message["id"]}
        if message["method"] == "initialize":
            more = {"new": True} if part == "future" else {}
            server = {"name": "peer", "version": "1", **more}
            write({**answer, "result": {"protocol_version": 1, "server": server, "state": "ready",
                                        "capabilities": CAPABILITIES, "limits": {**LIMITS, **more},
                                        "model": {"name": "peer"}, **more}})
            continue
        if part == "crash":
            os._exit(3)
        if part == "deaf":
            continue
        if part == "noisy":
            print("Loading checkpoint shards: 100%", flush=True)
            print(flush=True)
            print('"text"', flush=True)
            write({"id": None, "error": {"code": -32700, "message": "not JSON"}})
            write({"id": 123456, "result": {}})
            write({"method": "delta", "params": {"id": 123456, "seq": 0, "text": "of another request"}})
        if part == "future":
            write({"method": "forecast", "params": [1, 2]})
            write({"method": "progress", "params": {"stage": "dream", "done": 1, "unit": "sheep", "new": {}}})
            write({"method": "delta", "params": {"id": message["id"], "seq": 0, "text": "tex", "new": 1}})
        if part == "thinker":
            for seq, (text, more) in enumerate((("h", {"reasoning": True}), ("m", {"reasoning": True}), ("12", {}))):
                write({"method": "delta", "params": {"id": message["id"], "seq": seq, "text": text, **more}})
        if message["method"] == "warm":
            data = {"kind": "too_tired", "hint": "wait", "new": 1}
            write({**answer, "error": {"code": 1999, "message": "cannot", "data": data, "new": 1}})
            continue
        result = {"text": "text", "finish_reason": "bored", "usage": {**USAGE, "new": 1}, "timing": TIMING,
                  "params": message["params"], "new": [1],
                  # An answer that was cut off, although it looks whole.
                  "message": {"role": "assistant", "content": "12", "reasoning": "hm"}, "incomplete": {"pointer": "", "open": ""}}
        write({**answer, "result": result, "new": 1})


main()
