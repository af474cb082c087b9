// A long call outlives a client that gives up on silent ones, and a call that is given up at any moment ends at once.
// With RUNABOUT_LONG=1 the call takes five minutes and the client waits a minute, as agents do by default; otherwise both
// are scaled down to seconds.
import assert from "node:assert/strict";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

import { server } from "./checks.mjs";

const isLong = process.env.RUNABOUT_LONG === "1";
const [callSeconds, idleMs, nCancels] = isLong ? [300, 60_000, 30] : [5, 1_500, 5];

const client = new Client({ name: "test", version: "1" });
await client.connect(new StdioClientTransport(server));
const call = (name, args, options) => client.callTool({ name, arguments: args }, undefined, options);
const status = async () => (await call("status", {})).structuredContent;

/** A text that never ends by itself. */
const endless = (more) => ({ prompt: "Count to a million.", max_tokens: 8000, regex: "[a-z ]{60000}", temperature: 0, ...more });
// The call that loads the model is not part of it.
await call("generate", { prompt: "Hello", max_tokens: 1 }, { timeout: 600_000 });

const begun = performance.now();
let n_reports = 0;
const result = await call("generate", endless({ time_limit_seconds: callSeconds, max_tokens: 8000 }), {
  timeout: idleMs,
  resetTimeoutOnProgress: true,
  onprogress: () => { n_reports += 1; },
});
assert.ok(!result.isError, JSON.stringify(result));
const output = result.structuredContent;
const seconds = (performance.now() - begun) / 1000;
assert.ok(output.truncated && output.evidence.completion_tokens > 0, JSON.stringify(output));
// A fast machine is done with all tokens before the time is over.
if (output.finish_reason === "budget") assert.ok(seconds * 1000 > idleMs, `${seconds} s`);
assert.ok(n_reports > 0, "no progress was reported");
console.log(`ok: a call of ${seconds.toFixed(0)} s outlives a client that waits ${idleMs / 1000} s (${n_reports} reports)`);

for (let i = 0; i < nCancels; i += 1) {
  const given_up = new AbortController();
  const pending = call("generate", endless({ prompt: `Write story ${i}. ${"Once upon a time. ".repeat(40)}` }), { signal: given_up.signal, timeout: 600_000 });
  const caught = assert.rejects(pending);
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 1500));
  given_up.abort();
  await caught;
  // The step that is under way ends first, and then the call is gone. Each question gives it time for a step.
  let left = await status();
  for (let n = 0; n < 200 && left.running + left.waiting > 0; n += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    left = await status();
  }
  assert.equal(left.running + left.waiting, 0, "a call that was given up still runs");
}
console.log(`ok: ${nCancels} calls that were given up at random moments have ended`);
await client.close();
