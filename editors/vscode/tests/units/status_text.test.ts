// What the status bar says in each state.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { CompletionParams } from "../../src/protocol";
import { statusText } from "../../src/status_text";
import type { WorkerState } from "../../src/worker";

const READY: WorkerState = { kind: "running", status: { state: "ready", model: "small" } };
const offered: CompletionParams = { uri: "", outcome: "offered", firstTokenMs: 61.7, tokensPerSecond: 48.3, promptTokens: 40, cachedTokens: 30 };
const unsure: CompletionParams = { uri: "", outcome: "nothing", reason: "low_confidence", message: "The model is not sure enough." };

test("a suggestion shows its rate, and the tooltip its times", () => {
  const { text, lines } = statusText({ worker: READY, last: offered, suggests: true });
  assert.match(text, /48 tok\/s/);
  assert.ok(lines.some((line) => line.includes("first token after 62 ms") && line.includes("30 from the cache")));
});

test("silence shows its reason", () => {
  const { text, lines } = statusText({ worker: READY, last: unsure, suggests: true });
  assert.match(text, /unsure/);
  assert.ok(lines.includes("The model is not sure enough."));
});

test("a language that is switched off shows that, whatever came last", () => {
  const { text, lines } = statusText({ worker: READY, last: offered, suggests: false });
  assert.match(text, /circle-slash/);
  assert.ok(lines.some((line) => line.includes("are off")));
});

test("a download shows how far it is", () => {
  const worker: WorkerState = { kind: "running", status: { state: "downloading", model: "small", percentage: 41.9 } };
  assert.match(statusText({ worker, last: undefined, suggests: true }).text, /41 %/);
});

test("a failure stands out and tells the cause", () => {
  const worker: WorkerState = { kind: "running", status: { state: "failed", message: "there is no such model" } };
  const { lines, severity } = statusText({ worker, last: undefined, suggests: true });
  assert.equal(severity, "error");
  assert.match(lines.join(), /no such model/);
  assert.equal(statusText({ worker: { kind: "absent", found: { absent: "everywhere", looked: [] } }, last: undefined, suggests: undefined }).severity, "warning");
});
