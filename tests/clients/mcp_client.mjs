// The official MCP client, which nobody here wrote, in both ways that it speaks. Prints a line per promise kept;
// `tests/clients.rs` knows which there must be.
//
//     mcp_client.mjs RUNABOUT MODEL

import assert from "node:assert/strict";

import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const [runabout, model] = process.argv.slice(2);
const server = { command: runabout, args: ["mcp", "--model", model, "--no-stats"], env: process.env, stderr: "inherit" };
// Far more than the slow model writes in the time that is given to it; the model is random, and could end any other text.
const endless = { prompt: "go on", max_tokens: 8000, regex: "[ -~]{9000}" };

for (const [mode, version] of [["auto", "2026-07-28"], ["legacy", "2025-11-25"]]) {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  await client.connect(new StdioClientTransport(server));
  assert.equal(client.getNegotiatedProtocolVersion(), version);
  assert.equal(client.getServerVersion().name, "runabout");
  const { tools } = await client.listTools();
  assert.ok(tools.some((it) => it.name === "edit_files"));
  console.log(`ok: connect with ${version}`);

  const reports = [];
  // Ended by its own limit, so that there is a result. The client checks it against the tool's schema.
  const limited = { name: "generate", arguments: { ...endless, time_limit_seconds: 2 } };
  const result = await client.callTool(limited, { onprogress: (it) => reports.push(it) });
  assert.ok(!result.isError, JSON.stringify(result));
  assert.equal(result.structuredContent.truncated, true);
  assert.ok(reports.length > 0);
  reports.forEach((it, i) => assert.ok(i === 0 || it.progress > reports[i - 1].progress, JSON.stringify(reports)));
  console.log("ok: a call is answered, and its progress grows");

  await assert.rejects(client.callTool({ name: "generate", arguments: endless }, { signal: AbortSignal.timeout(300) }));
  const status = await client.callTool({ name: "status", arguments: {} });
  assert.equal(status.structuredContent.state, "ready");
  console.log("ok: after a call was given up, the next one is answered");
  await client.close();
}
