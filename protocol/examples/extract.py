#!/usr/bin/env python3
"""Turns the entries of a log into JSON with a local model: an errand that an agent need not read the log for.

    extract.py [LOG]

Entries are separated by empty lines. Each one becomes a line of JSON, in their order, and several are read at a time.
The form is certain, since the worker enforces it; whether the values are right is not, so they are checked against
the entry, and a file or a line that does not occur in it is left out.

Requires the package in `protocol/clients/python`. The environment variable RUNABOUT names the program, RUNABOUT_MODEL
the model.
"""

import asyncio
import json
import re
import sys

from runabout import AsyncClient, IncompleteAnswer

LOG = """\
Traceback (most recent call last):
  File "app/main.py", line 8, in <module>
    run(load(sys.argv[1]))
  File "app/config.py", line 31, in load
    return json.load(file)
json.decoder.JSONDecodeError: Expecting ',' delimiter: line 4 column 3 (char 61)

thread 'worker-2' panicked at src/queue.rs:117:22:
index out of bounds: the len is 4 but the index is 4

src/parse.c:212:9: warning: unused variable 'depth' [-Wunused-variable]

2026-11-02T09:14:07Z ERROR billing: cannot open /var/lib/billing/ledger.db: Permission denied

/srv/web/cart.js:88
  const total = items.reduce((sum, item) => sum + item.price, 0);
                      ^
TypeError: Cannot read properties of undefined (reading 'reduce')

INFO scheduler: 14 jobs done, next run at 10:00
"""

SCHEMA = {
    "type": "object",
    "properties": {
        "severity": {"enum": ["info", "warning", "error"]},
        "file": {"type": ["string", "null"], "maxLength": 80},
        "line": {"type": ["integer", "null"]},
        "problem": {"type": "string", "maxLength": 120},
    },
    "required": ["severity", "file", "line", "problem"],
    "additionalProperties": False,
}
SYSTEM = """\
You extract facts from an entry of a log, as JSON with these properties:
severity: info, warning or error; a traceback or a panic is an error
file: the path of the file where the problem is, or null if none is named
line: the number of the line in that file, or null
problem: what went wrong, in a few words, or an empty text
Of a Python traceback, the last file is the one.

For example, `lib/io.py:7: error: Name "x" is not defined` is
{"severity": "error", "file": "lib/io.py", "line": 7, "problem": "name x is not defined"}"""


async def extract(client, entry):
    """The facts of an entry, and what the model used."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": entry}]
    try:
        facts = await client.chat_json(messages, SCHEMA, max_tokens=200, temperature=0)
    except IncompleteAnswer as error:
        return {"entry": entry, "error": str(error)}
    # What is not in the entry is not from the entry.
    if facts["file"] is not None and facts["file"] not in entry:
        facts["file"] = None
    if facts["line"] is not None and not re.search(rf"\b{facts['line']}\b", entry):
        facts["line"] = None
    return facts


async def main():
    log = open(sys.argv[1], encoding="utf-8").read() if len(sys.argv) > 1 else LOG
    entries = [entry for entry in re.split(r"\n\s*\n", log.strip("\n")) if entry.strip()]
    async with AsyncClient() as client:
        for facts in await asyncio.gather(*(extract(client, entry) for entry in entries)):
            print(json.dumps(facts, ensure_ascii=False))
        status = await client.status()
        print(f"{len(entries)} entries, {status['computed_tokens']} tokens computed here", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main())
