#!/usr/bin/env bash
# What meets: an asyncio task that waits for an answer and is cancelled, in three Python clients: pygls 2.1.1 (LSP),
#   agent-client-protocol 0.12.1 (ACP) and mcp 2.3.0 (MCP).
# Guess: each tells its peer, as its protocol has a message for that: `$/cancelRequest`, `$/cancel_request` and
#   `notifications/cancelled`; the clients in TypeScript do so when their token or signal is cancelled.
# Seen: only mcp does. pygls and agent-client-protocol forget the request and send nothing, so the peer works on; whoever
#   uses them sends the message themselves.
# Fails if one of these changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pygls==2.1.1" "lsprotocol==2025.0.0" "agent-client-protocol==0.12.1" "mcp==2.3.0"
cat > "$folder/peer.py" <<'PYTHON'
"""Answers only the handshakes, and notes the methods of all messages in a file."""
import json
import sys

stdin = sys.stdin.buffer
while True:
    headers, line = [], stdin.readline()
    while line.lower().startswith(b"content-"):
        headers.append(line)
        line = stdin.readline()
    if headers:
        length = next(int(it.split(b":")[1]) for it in headers if it.lower().startswith(b"content-length"))
        line = stdin.read(length)
    if not line:
        break
    message = json.loads(line)
    with open(sys.argv[1], "a") as file:
        file.write(message["method"] + "\n")
    results = {"acp": {"protocolVersion": 1}, "mcp": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                                                      "serverInfo": {"name": "peer", "version": "1"}}}
    if message["method"] == "initialize":
        result = results[sys.argv[2]]
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
PYTHON
cat > "$folder/look.py" <<'PYTHON'
import asyncio
import sys
from pathlib import Path

import acp
import mcp
from mcp.client.stdio import stdio_client
from pygls.client import JsonRPCClient

folder = Path(sys.argv[1])


async def cancel(name, method, ask):
    """Cancels a task once its request has arrived, and tells what the peer gets from then on."""
    noted = folder / name
    task = asyncio.ensure_future(ask)
    while not noted.exists() or method not in noted.read_text():
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(1)
    after = noted.read_text().split(method + "\n")[1].split()
    print(f"{name}: {', '.join(after) or 'nothing'}")


async def main():
    peer = [str(folder / "peer.py")]
    client = JsonRPCClient()
    await client.start_io(sys.executable, *peer, str(folder / "pygls"), "lsp")
    await cancel("pygls", "m", client.protocol.send_request_async("m", {}))
    client._server.stdin.close()

    class Client(acp.Client):
        pass

    arguments = [*peer, str(folder / "agent-client-protocol"), "acp"]
    async with acp.spawn_agent_process(lambda agent: Client(), sys.executable, *arguments) as (agent, _):
        await agent.initialize(protocol_version=1)
        prompt = agent.prompt(session_id="s", prompt=[acp.text_block("hello")])
        await cancel("agent-client-protocol", "session/prompt", prompt)

    parameters = mcp.StdioServerParameters(command=sys.executable, args=[*peer, str(folder / "mcp"), "mcp"])
    async with stdio_client(parameters) as streams, mcp.ClientSession(*streams) as session:
        await session.initialize()
        await cancel("mcp", "tools/call", session.call_tool("t", {}))


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/look.py" "$folder" > "$folder/seen"
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
pygls: nothing
agent-client-protocol: nothing
mcp: notifications/cancelled
EXPECTED
