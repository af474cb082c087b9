#!/usr/bin/env bash
# What meets: vscode-jsonrpc 10.0.0 and a request whose params are a list, which JSON-RPC allows (params by position).
# Guess: `sendRequest(method, params)` sends `params` as they are: an object as an object, a list as a list.
# Seen: only an object is sent as it is. A list arrives within another list, as if it were the first param, and so do `null`
#   and a string; the handler of the same library unpacks it again, so it shows only when the other side is another library.
# Fails if one of these changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" "vscode-jsonrpc@10.0.0"
cat > "$folder/look.cjs" <<'JAVASCRIPT'
const { PassThrough } = require("node:stream");
const { createMessageConnection, StreamMessageReader, StreamMessageWriter } = require("vscode-jsonrpc/node");
const [there, back] = [new PassThrough(), new PassThrough()];
const client = createMessageConnection(new StreamMessageReader(back), new StreamMessageWriter(there));
const wire = [];
there.on("data", (data) => wire.push(data.toString()));
const server = createMessageConnection(new StreamMessageReader(there), new StreamMessageWriter(back));
const handled = [];
server.onRequest("m", (...args) => { args.pop(); handled.push(JSON.stringify(args)); return null; });
client.listen();
server.listen();
(async () => {
  for (const params of [{ a: 1 }, [1, 2], "a", null]) {
    await client.sendRequest("m", params);
    const sent = JSON.parse(wire.splice(0).join("").split("\r\n\r\n")[1]).params;
    console.log(`given ${JSON.stringify(params)}: sent ${JSON.stringify(sent)}, handler called with ${handled.pop()}`);
  }
  client.dispose();
  server.dispose();
})();
JAVASCRIPT
node "$folder/look.cjs" > "$folder/seen"
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
given {"a":1}: sent {"a":1}, handler called with [{"a":1}]
given [1,2]: sent [[1,2]], handler called with [[1,2]]
given "a": sent ["a"], handler called with ["a"]
given null: sent [null], handler called with [null]
EXPECTED
