// The official conformance suite for revision 2026-07-28 and for its tasks, as far as it is about what this server has. The
// suite calls tools of a server made for it; calls of these become calls of ours on their way, where one of ours does what
// is tested. A check is named here if it must succeed; the others are about the HTTP binding, about tools that no tool of ours
// stands for, or about servers that do not speak the older revisions as well.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { bridge } from "./bridge.mjs";
import { server } from "./checks.mjs";

const CHECKS = {
  "server-stateless": [
    "sep-2575-request-meta-invalid-missing-client-capabilities",
    "sep-2575-request-meta-client-info-optional",
    "sep-2575-server-implements-discover",
    "sep-2575-server-identifies-in-result-meta",
    "sep-2575-server-declares-prompts-in-discover",
    "sep-2575-discover-capabilities-match-handlers",
    "sep-2575-http-server-unsupported-version-400",
    "sep-2575-http-server-method-not-found-404",
    "sep-2575-http-server-method-not-found-404-logging-setlevel",
    "sep-2575-http-server-method-not-found-404-resources-subscribe",
    "sep-2575-http-server-error-jsonrpc-id",
    "sep-2575-server-sends-subscription-ack",
    "sep-2575-server-tags-subscription-id",
  ],
  "tools-list": ["tools-list", "tools-name-format", "tools-list-deterministic-order", "wire-schema-valid"],
  caching: ["sep-2549-tools-list-caching-hints", "sep-2549-ttl-non-negative", "sep-2549-cache-scope-valid", "wire-schema-valid"],
  "input-required-result-unsupported-methods": ["sep-2322-not-on-unsupported-requests", "wire-schema-valid"],
  "server-sse-multiple-streams": ["server-accepts-multiple-post-streams", "server-sse-streams-functional"],
  "tasks-capability-negotiation": [
    "tasks-extension-advertised",
    "sep-2663-tasks-methods-non-declaring",
    "sep-2663-server-rejects-undeclared-client",
    "tasks-per-request-meta-opt-in",
    "wire-schema-valid",
  ],
  "tasks-lifecycle": [
    "tasks-sync-tool-call",
    "sep-2663-result-type-task-on-create",
    "sep-2663-tasks-get-status-working",
    "sep-2663-tasks-get-status-completed",
    "sep-2663-tool-error-uses-completed-status",
    "sep-2663-cancel-ack-empty-result",
    "tasks-cancel-terminal-idempotent-ack",
    "wire-schema-valid",
  ],
  "tasks-wire-fields": [
    "tasks-wire-field-renames",
    "tasks-no-early-ttl-expiry",
    "tasks-no-related-task-meta-on-inlined-result",
    "wire-schema-valid",
  ],
  "tasks-request-state-removal": [],
  "tasks-dispatch-and-envelope": [
    "sep-2663-tasks-result-removed-method-not-found",
    "tasks-removed-tasks-list",
    "tasks-server-directed-creation-no-hint",
    "sep-2663-legacy-task-param-ignored",
    "tasks-immediate-result-shortcut",
    "sep-2663-durable-create-strong-consistency",
    "sep-2663-tasks-get-invalid-task-id-32602",
    "wire-schema-valid",
  ],
};

// Many files take long, so that a task can be asked about, and cancelled, while it works.
const root = mkdtempSync(join(tmpdir(), "runabout-conformance-"));
for (let i = 0; i < 40; i++) writeFileSync(join(root, `part${i}.txt`), `The lighthouse ${i} was built in ${1800 + i}. `.repeat(20));
const map = (path, max_tokens) => ({ name: "map_files", arguments: { task: "summarize", paths: [path], max_tokens } });
const OURS = {
  greet: () => ({ name: "status", arguments: {} }),
  slow_compute: ({ seconds }) => (seconds > 2 ? map("part*.txt", 200) : map("part1.txt", 4)),
  failing_job: () => map("no-such-file-*.txt", 4),
};

function rewrite(message) {
  const { name, arguments: given } = message.params ?? {};
  if (message.method === "tools/call" && OURS[name]) message.params = { ...message.params, ...OURS[name](given ?? {}) };
  return message;
}

const suite = process.argv[2];
const args = server.args.map((it, i) => (server.args[i - 1] === "--root" ? root : it));
let failed = 0;
for (const [scenario, names] of Object.entries(CHECKS)) {
  const { url, close } = await bridge(server.command, args, rewrite);
  const out = mkdtempSync(join(tmpdir(), "runabout-conformance-"));
  const version = scenario.startsWith("tasks-") ? ["--force"] : ["--spec-version", "2026-07-28"];
  const run = spawn(process.execPath, [suite, "server", "--url", url, "--scenario", scenario, "-o", out, ...version], { stdio: "ignore" });
  await new Promise((resolve) => run.once("exit", resolve));
  const checks = JSON.parse(readFileSync(join(out, readdirSync(out)[0], "checks.json"), "utf8"));
  for (const name of names.length ? names : [...new Set(checks.map((it) => it.id))]) {
    const those = checks.filter((it) => it.id === name);
    const bad = those.find((it) => it.status !== "SUCCESS");
    if (those.length && !bad) continue;
    failed += 1;
    console.log(`failed: ${scenario}: ${name}: ${bad?.errorMessage ?? "it was not made"}`);
  }
  assert.equal(await close(), 0);
  console.log(`ok: ${scenario} (${checks.filter((it) => it.status === "SUCCESS").length} of ${checks.length} checks succeed)`);
}
assert.equal(failed, 0);
