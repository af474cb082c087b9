#!/usr/bin/env bash
# What meets: vscode-jsonrpc 10.0.0 and a request whose token is cancelled before it is sent, as when a person goes on typing
#   while the request is prepared.
# Guess: nothing is sent and the promise rejects at once, as `fetch` does with a signal that is aborted.
# Seen: the request is sent, and `$/cancelRequest` after it, also with the token `CancellationToken.Cancelled`; the promise
#   waits for the server's answer. So a server gets requests that nobody wants any more, and should look at the next message
#   before it begins a long work.
# Fails if one of these changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" "vscode-jsonrpc@10.0.0"
cat > "$folder/look.cjs" <<'JAVASCRIPT'
const { PassThrough } = require("node:stream");
const { setTimeout: sleep } = require("node:timers/promises");
const rpc = require("vscode-jsonrpc/node");
const [there, back] = [new PassThrough(), new PassThrough()];
const client = rpc.createMessageConnection(new rpc.StreamMessageReader(back), new rpc.StreamMessageWriter(there));
const server = rpc.createMessageConnection(new rpc.StreamMessageReader(there), new rpc.StreamMessageWriter(back));
let answer;
server.onRequest("m", (_, token) => new Promise((resolve) => (answer = () => resolve(token.isCancellationRequested))));
client.listen();
server.listen();
(async () => {
  const source = new rpc.CancellationTokenSource();
  source.cancel();
  for (const [name, token] of [["a cancelled source", source.token], ["Cancelled", rpc.CancellationToken.Cancelled]]) {
    answer = undefined;
    let outcome = "pending";
    const settled = client.sendRequest("m", {}, token).then(
      (isCancelled) => (outcome = `answered, cancelled at the server: ${isCancelled}`),
      (error) => (outcome = `rejected: ${error.message}`),
    );
    for (let i = 0; i < 200 && answer === undefined && outcome === "pending"; i++) await sleep(10);
    await sleep(100);
    console.log(`${name}: ${answer === undefined ? "not sent" : "sent"}, ${outcome}`);
    answer?.();
    await settled;
    console.log(`${name}: ${outcome}`);
  }
  client.dispose();
  server.dispose();
})();
JAVASCRIPT
node "$folder/look.cjs" > "$folder/seen"
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
a cancelled source: sent, pending
a cancelled source: answered, cancelled at the server: true
Cancelled: sent, pending
Cancelled: answered, cancelled at the server: true
EXPECTED
