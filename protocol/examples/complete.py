#!/usr/bin/env python3
"""Completes code with a local model and prints the text as it comes.

    complete.py [PREFIX [SUFFIX]]

RUNABOUT is the program, RUNABOUT_MODEL the model.
Needs Python 3.9 and nothing else.
"""

import json
import os
import subprocess
import sys


def complete(worker, params):
    """Yields the text between `prefix` and `suffix`, piece by piece."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "complete", "params": params}
    print(json.dumps(request), file=worker.stdin, flush=True)
    for line in worker.stdout:
        message = json.loads(line)
        if message.get("method") == "delta":
            yield message["params"]["text"]
        elif "error" in message:
            raise RuntimeError(message["error"]["message"])
        elif message.get("id") == 1:
            return
    raise RuntimeError("the worker ended without an answer")


def main():
    prefix = sys.argv[1] if len(sys.argv) > 1 else "def mean(values):\n    return "
    suffix = sys.argv[2] if len(sys.argv) > 2 else "\n"
    program = os.environ.get("RUNABOUT", "runabout")
    with subprocess.Popen(
        [program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as worker:
        for text in complete(worker, {"prefix": prefix, "suffix": suffix, "max_tokens": 32}):
            print(text, end="", flush=True)
        print()
        worker.stdin.close()  # The worker ends when its input does.
    return worker.returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(f"{error}")
