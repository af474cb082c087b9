// The official conformance suite, as far as it is about what this server has. It expects a server made for it, with tools,
// prompts and resources of given names; so the scenarios that call those have no counterpart here and are not run.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";

import { bridge } from "./bridge.mjs";
import { server } from "./checks.mjs";

const SCENARIOS = ["server-initialize", "ping", "tools-list"];

const suite = "node_modules/@modelcontextprotocol/conformance/dist/index.js";
const { url, close } = await bridge(server.command, server.args);
for (const scenario of SCENARIOS) {
  const run = spawn(process.execPath, [suite, "server", "--url", url, "--scenario", scenario], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  for await (const chunk of run.stdout) said += chunk;
  const code = run.exitCode ?? (await new Promise((resolve) => run.once("exit", resolve)));
  assert.equal(code, 0, `${scenario}:\n${said}`);
  console.log(`ok: ${scenario}`);
}
assert.equal(await close(), 0);
