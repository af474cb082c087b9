// What the server must do for a client, whichever of the two npm clients it is.
import assert from "node:assert/strict";

export const TOOLS = ["complete_code", "generate", "edit_files", "map_files", "review_diff", "write_tests", "status"];

/** The server's command and arguments, for the constructors of both clients' transports. */
export const server = {
  command: process.env.RUNABOUT,
  args: ["mcp", "--offline", "--model", process.env.RUNABOUT_TEST_MODEL, "--root", process.cwd()],
  env: process.env,
  stderr: "inherit",
};

/** Calls tools as an agent does. `call(params, options)` is the client's own way. */
export async function check(client, call) {
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((it) => it.name), TOOLS);
  console.log("ok: the tools are listed");

  const reports = [];
  const poem = { name: "generate", arguments: { prompt: "Write a poem about the sea.", max_tokens: 120, temperature: 0 } };
  // The client checks the output against the tool's schema.
  const result = await call(poem, { onprogress: (it) => reports.push(it), resetTimeoutOnProgress: true });
  assert.ok(!result.isError, JSON.stringify(result));
  assert.equal(result.content[0].text, result.structuredContent.text);
  assert.ok(result.structuredContent.evidence.completion_tokens > 0);
  assert.ok(reports.length > 0, "no progress was reported");
  reports.forEach((it, i) => assert.ok(i === 0 || it.progress > reports[i - 1].progress, JSON.stringify(reports)));
  assert.ok(reports.every((it) => it.message), JSON.stringify(reports));
  console.log("ok: a call is answered, and its progress grows");

  const wrong = await call({ name: "generate", arguments: { prompt: "a", max_tokens: "many" } });
  assert.ok(wrong.isError && wrong.content[0].text.includes("`max_tokens`"), JSON.stringify(wrong));
  console.log("ok: a wrong argument is named");

  const endless = { name: "generate", arguments: { prompt: "Count to a million.", max_tokens: 3000, regex: "[a-z ]{3000}" } };
  await assert.rejects(call(endless, { signal: AbortSignal.timeout(1000) }));
  await assert.rejects(call(endless, { timeout: 500 }));
  const status = await call({ name: "status", arguments: {} });
  assert.equal(status.structuredContent.state, "ready");
  console.log("ok: after calls were given up, the next one is answered");

  const missing = await call({ name: "map_files", arguments: { task: "summarize", paths: ["../*.py"] } });
  assert.ok(missing.isError, JSON.stringify(missing));
  console.log("ok: files outside the root are refused");
}
