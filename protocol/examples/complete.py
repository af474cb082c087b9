#!/usr/bin/env python3
"""Completes code with a local model and prints the text as it is generated.

    complete.py [PREFIX [SUFFIX]]

The environment variable RUNABOUT names the program, RUNABOUT_MODEL the model.
Requires only Python 3.9.
"""

import json
import os
import subprocess
import sys

PREFIX = '''\
def fibonacci(n):
    """Return the first n Fibonacci numbers."""
    '''
SUFFIX = """

print(fibonacci(10))
"""


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
    prefix = sys.argv[1] if len(sys.argv) > 1 else PREFIX
    suffix = sys.argv[2] if len(sys.argv) > 2 else SUFFIX
    program = os.environ.get("RUNABOUT", "runabout")
    with subprocess.Popen(
        [program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as worker:
        # The text ends at the first blank line.
        params = {"prefix": prefix, "suffix": suffix, "stop": ["\n\n"], "max_tokens": 64}
        for text in complete(worker, params):
            print(text, end="", flush=True)
        print()
        worker.stdin.close()  # Closing its input ends the worker.
    return worker.returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(f"{error}")
