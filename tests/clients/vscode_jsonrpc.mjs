// The JSON-RPC library of VS Code, which nobody here wrote, as a client: it frames, counts ids and cancels in its
// own way. Prints a line per promise kept; `tests/clients.rs` knows which there must be.
//
//     vscode_jsonrpc.mjs RUNABOUT MODEL

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";

import { CancellationTokenSource, ResponseError } from "vscode-jsonrpc";
import { StreamMessageReader, StreamMessageWriter, createMessageConnection } from "vscode-jsonrpc/node";

// The test's model is random: without its control tokens it cannot end a text by itself.
const UNENDING = { logit_bias: Object.fromEntries(Array.from({ length: 9 }, (_, i) => [256 + i, -100])) };
// Nor does a rule end it then.
const RULES = ["line", "statement", "block", "indentation", "bracket", "suffix", "repetition", "blank"];
// Far more than it draws in the time that a cancel takes.
const ENDLESS = { mode: "raw", ...UNENDING, max_tokens: 8192 };
const REQUEST_CANCELLED = -32800;
const DEADLINE_MS = 240_000;

const [runabout, model] = process.argv.slice(2);
const worker = spawn(runabout, ["serve", "--model", model], { stdio: ["pipe", "pipe", "inherit"] });
const exited = once(worker, "exit");
const connection = createMessageConnection(
  new StreamMessageReader(worker.stdout),
  new StreamMessageWriter(worker.stdin),
);

/** All deltas so far, by request. */
const deltas = new Map();
let onDelta = () => {};
connection.onNotification("delta", (delta) => {
  if (!deltas.has(delta.id)) deltas.set(delta.id, []);
  deltas.get(delta.id).push(delta);
  onDelta(delta);
});
connection.onError(([error]) => assert.fail(error));
connection.listen();
setTimeout(() => assert.fail("the worker did not answer in time"), DEADLINE_MS).unref();

const nextDelta = () => new Promise((resolve) => (onDelta = resolve));

/** Sends a request; its result, and the text that was streamed for it. */
async function streamed(method, params, token) {
  const first = nextDelta();
  const result = connection.sendRequest(method, params, ...(token ? [token] : []));
  const { id } = await Promise.race([first, result.then(() => assert.fail("the result came before any delta"))]);
  const text = () => deltas.get(id).map((it) => it.text).join("");
  return { id, result, text };
}

const initialized = await connection.sendRequest("initialize", { client: { name: "vscode-jsonrpc" } });
assert.equal(initialized.protocol_version, 1);
console.log("ok: initialize");

{
  const { id, result, text } = await streamed("complete", { prefix: "let naïve = ", suffix: ";\n", rules: { off: RULES }, max_tokens: 24, ...UNENDING });
  const { text: whole, usage } = await result;
  assert.equal(text(), whole);
  assert.equal(usage.completion_tokens, 24);
  assert.deepEqual(deltas.get(id).map((it) => it.seq), deltas.get(id).map((_, i) => i));
  console.log("ok: complete streams the text of its result");
}

{
  const messages = [{ role: "user", content: "hello" }];
  const { result, text } = await streamed("chat", { messages, max_tokens: 16, temperature: 0, ...UNENDING });
  const { message } = await result;
  assert.equal(message.role, "assistant");
  assert.equal(text(), message.content);
  console.log("ok: chat streams the message of its result");
}

{
  const source = new CancellationTokenSource();
  const { result, text } = await streamed("complete", { prefix: "a", ...ENDLESS }, source.token);
  source.cancel();
  const error = await result.then(
    (result) => assert.fail(`expected an error, got ${JSON.stringify(result)}`),
    (error) => error,
  );
  assert.ok(error instanceof ResponseError);
  assert.equal(error.code, REQUEST_CANCELLED);
  assert.equal(text(), error.data.partial);
  console.log("ok: a cancelled token ends a request with an error and the text so far");
}

{
  const { id, result, text } = await streamed("complete", { prefix: "b", ...ENDLESS });
  const cancelled = await connection.sendRequest("cancel", { id });
  const { text: whole, finish_reason, usage } = await result;
  assert.equal(finish_reason, "cancelled");
  assert.equal(text(), whole);
  assert.deepEqual(cancelled, { outcome: "cancelled", completion_tokens: usage.completion_tokens });
  console.log("ok: the cancel method ends a request with a result and the text so far");
}

{
  const error = await connection.sendRequest("complete", { prefix: "c", max_token: 1 }).catch((error) => error);
  assert.equal(error.code, -32602);
  assert.deepEqual(error.data, { field: "max_token", nearest: "max_tokens" });
  console.log("ok: an error arrives with its data");
}

await connection.sendRequest("shutdown");
await connection.sendNotification("exit");
const [code] = await exited;
assert.equal(code, 0);
console.log("ok: shutdown and exit end the worker");
