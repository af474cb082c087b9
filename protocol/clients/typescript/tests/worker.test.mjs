// The client with the real worker, which `RUNABOUT` names, and the model `RUNABOUT_TEST_MODEL`; for tools, the model
// `RUNABOUT_TOOL_MODEL`, whose chat template must have them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import {
  Client,
  ClientClosed,
  IncompleteAnswer,
  RequestCancelled,
  RequestFailed,
  RequestTimedOut,
  WorkerEnded,
} from "runabout-client";

const SETTINGS = { model: process.env.RUNABOUT_TEST_MODEL ?? "smollm2-135m", options: { offline: true } };
// Runs until it is stopped: the tokens that end a text are never chosen.
const ENDLESS = { mode: "raw", max_tokens: 4000, temperature: 0, logit_bias: { 0: -100, 2: -100 } };

/** Waits for the end of a process that is perhaps not a child of this one. */
async function hasEnded(pid) {
  for (let i = 0; i < 1000; i++) {
    try {
      process.kill(pid, 0);
    } catch {
      return true;
    }
    // Perhaps it only waits for its parent to look at its exit code. Not every system has /proc.
    const stat = `/proc/${pid}/stat`;
    if (existsSync(stat) && /\) Z /.test(readFileSync(stat, "utf8"))) return true;
    await sleep(20);
  }
  return false;
}

async function textOf(stream) {
  let text = "";
  for await (const delta of stream) text += delta.text;
  return text;
}

describe("requests", () => {
  let client;
  let model;

  before(async () => {
    client = new Client(SETTINGS);
    model = await client.waitUntilReady({ onProgress: ({ stage }) => assert.match(stage, /^(load|download)$/) });
  });
  after(() => client.close());

  async function untilIdle() {
    while ((await client.status()).queue.running > 0) await sleep(10);
  }

  test("the start tells the limits", async () => {
    assert.equal((await client.start()).protocol_version, 1);
    assert.equal(model.chat, true);
  });

  test("a completion is the same streamed, told and whole", async () => {
    const params = { prefix: "def mean(values):\n    return ", suffix: "\n", max_tokens: 8, temperature: 0 };
    const { text } = await client.complete(params);
    let told = "";
    await client.complete(params, { onDelta: (delta) => (told += delta.text) });
    assert.equal(told, text);
    const stream = client.completeStream(params);
    assert.equal(await textOf(stream), text);
    assert.equal((await stream.result).text, text);
    assert.equal(await textOf(stream), "");
  });

  test("a conversation goes on with the message of the result", async () => {
    const first = await client.chat({ messages: "Say hello.", max_tokens: 8, temperature: 0 });
    const messages = [{ role: "user", content: "Say hello." }, first.message, { role: "user", content: "Again." }];
    const stream = client.chatStream({ messages, max_tokens: 8, temperature: 0 });
    assert.equal(await textOf(stream), (await stream.result).message.content);
  });

  test("an answer with a schema is a value, or incomplete", async () => {
    const schema = {
      type: "object",
      required: ["severity", "fixed"],
      additionalProperties: false,
      properties: { severity: { enum: ["low", "high"] }, fixed: { type: "boolean" } },
    };
    const params = { messages: "Severity of this, as JSON: it crashes.", temperature: 0 };
    const value = await client.chatJson({ ...params, max_tokens: 200 }, schema);
    assert(["low", "high"].includes(value.severity) && typeof value.fixed === "boolean", JSON.stringify(value));
    const error = await client.chatJson({ ...params, max_tokens: 2 }, schema).catch((it) => it);
    assert(error instanceof IncompleteAnswer);
    assert.equal(error.result.finish_reason, "length");
    assert.match(error.message, /with `\{/);
  });

  test("a call that is required fits its schema and goes on with its result", async () => {
    const tooled = new Client({ ...SETTINGS, model: process.env.RUNABOUT_TOOL_MODEL ?? "qwen2.5-coder-0.5b" });
    const parameters = {
      type: "object",
      required: ["city", "days"],
      properties: { city: { type: "string", maxLength: 20 }, days: { type: "integer", maximum: 99 } },
    };
    const tools = [{ type: "function", function: { name: "forecast", description: "The weather", parameters } }];
    const options = { tools, max_tokens: 300, temperature: 0 };
    const asked = [{ role: "user", content: "How warm will Rome be in the next 3 days?" }];
    const tool_choice = { type: "function", function: { name: "forecast" } };
    const stream = tooled.chatStream({ messages: asked, tool_choice, ...options });
    assert.equal(await textOf(stream), "");
    const { message, finish_reason } = await stream.result;
    const [call] = message.tool_calls;
    assert.deepEqual([message.content, finish_reason, call.function.name], [null, "tool_calls", "forecast"]);
    assert.deepEqual(Object.values(call.function.arguments).map((it) => typeof it), ["string", "number"]);
    const answer = { role: "tool", tool_call_id: call.id, content: '{"celsius": [20, 21, 19]}' };
    const final = await tooled.chat({ messages: [...asked, message, answer], ...options, tool_choice: "none" });
    assert.equal(final.message.tool_calls, undefined);
    await tooled.close();
  });

  test("next edits are predicted, or the error says that the model cannot", async () => {
    const params = { prefix: "def f():\n    center = ", suffix: "\n", edits: [{ original: "", updated: "    c\n" }] };
    const result = await client.nextEdit(params).catch((it) => it);
    if (model.next_edit_format) assert(Array.isArray(result.edits));
    else assert.deepEqual([result.code, result.kind], [1005, "unsupported"]);
  });

  test("what was warmed is in the cache, and tokens are counted", async () => {
    const prefix = "# A file that is opened.\nimport math\nradius = ";
    assert((await client.warm({ prefix })).prompt_tokens > 5);
    assert((await client.complete({ prefix, max_tokens: 1 })).usage.cached_tokens > 0);
    const counted = await client.tokenize({ text: "naïve 🍕\u2028", return_tokens: true });
    assert.equal(counted.count, counted.tokens.length);
  });

  test("an error has code, hint and data", async () => {
    const error = await client.complete({ prefix: "x" }, { extra: { max_token: 5 } }).catch((it) => it);
    assert(error instanceof RequestFailed);
    assert.deepEqual([error.code, error.kind, error.data.nearest], [-32602, undefined, "max_tokens"]);
    assert.match(error.hint, /max_tokens/);
  });

  test("a stream is cancelled with its text so far", async () => {
    const stream = client.completeStream({ prefix: "a", ...ENDLESS });
    const first = await stream.next();
    assert.equal((await stream.cancel()).outcome, "cancelled");
    const { finish_reason, text } = await stream.result;
    assert.equal(finish_reason, "cancelled");
    assert.equal(first.value.text + (await textOf(stream)), text);
    assert.equal((await stream.cancel()).outcome, "finished");
  });

  test("a stream that is left, a signal and a time limit stop the request at the worker", async () => {
    for await (const delta of client.completeStream({ prefix: "b", ...ENDLESS })) {
      assert(delta.text);
      break;
    }
    await untilIdle();
    const abandon = new AbortController();
    const params = { prefix: "c", ...ENDLESS };
    const aborted = client.complete(params, { signal: abandon.signal, onDelta: () => abandon.abort("enough") });
    const error = await aborted.catch((it) => it);
    assert(error instanceof RequestCancelled);
    assert.equal(error.cause, "enough");
    await untilIdle();
    await assert.rejects(client.complete({ prefix: "d", ...ENDLESS }, { timeoutMs: 200 }), RequestTimedOut);
    await untilIdle();
  });

  test("a hundred requests at once are all answered", async () => {
    const ask = (_, i) => client.complete({ prefix: `x${i} = `, max_tokens: 2, temperature: 0 });
    const results = await Promise.all(Array.from({ length: 100 }, ask));
    assert.equal(results.filter(({ usage }) => usage.prompt_tokens > 0).length, 100);
  });
});

describe("ends", () => {
  test("a killed worker fails what is running, and the next request starts another", async () => {
    const client = new Client(SETTINGS);
    const stream = client.completeStream({ prefix: "a", ...ENDLESS });
    await stream.next();
    const { pid } = client;
    process.kill(pid, "SIGKILL");
    const error = await stream.result.catch((it) => it);
    assert(error instanceof WorkerEnded);
    assert.equal(error.signal, "SIGKILL");
    assert((await client.complete({ prefix: "x = ", max_tokens: 2 })).usage.prompt_tokens > 0);
    assert.notEqual(client.pid, pid);
    await client.close();
  });

  test("a worker that cannot start tells why", async () => {
    const client = new Client({ ...SETTINGS, options: { ofline: true } });
    const error = await client.start().catch((it) => it);
    assert(error instanceof WorkerEnded);
    assert.equal(error.exitCode, 2);
    assert.match(error.message, /--ofline/);
    await client.close();
  });

  test("a model that cannot be loaded is an error of that kind", async () => {
    const client = new Client({ model: fileURLToPath(new URL(".", import.meta.url)) });
    for (const ask of [() => client.waitUntilReady(), () => client.complete({ prefix: "a" })]) {
      const error = await ask().catch((it) => it);
      assert.deepEqual([error.code, error.kind], [1001, "model_load_failed"]);
    }
    await client.close();
  });

  test("closing ends the worker and what is running", async () => {
    const client = new Client(SETTINGS);
    const stream = client.completeStream({ prefix: "a", ...ENDLESS });
    await stream.next();
    await client.close();
    const how = await stream.result.then(({ finish_reason }) => finish_reason, ({ name }) => name);
    assert(["cancelled", "ClientClosed"].includes(how), how);
    assert(await hasEnded(client.pid));
    await assert.rejects(client.complete({ prefix: "a" }), ClientClosed);
    await client.close();
  });

  const script = `
    import { Client } from "runabout-client";
    let client = new Client(${JSON.stringify(SETTINGS)});
    await client.start();
    console.log(client.pid);
  `;
  const endless = `await client.complete(${JSON.stringify({ prefix: "a", ...ENDLESS })});`;

  /** Runs a script that prints the pid of its worker, and does something to it; the worker must end too. */
  async function run(text, act, args = []) {
    const child = spawn(process.execPath, [...args, "--input-type=module", "--eval", text], {
      cwd: fileURLToPath(new URL(".", import.meta.url)),
      stdio: ["ignore", "pipe", "inherit"],
      // As a terminal runs it: Ctrl-C goes to all processes of its group.
      detached: true,
    });
    const exit = once(child, "exit");
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const pid = Number((await lines.next()).value);
    act(child);
    const [code] = await exit;
    assert(await hasEnded(pid));
    return { code, last: (await lines.next()).value };
  }

  test("a script that does not close its client ends nevertheless, and so does its worker", async () => {
    assert.equal((await run(script, () => {})).code, 0);
  });

  test("a script that is killed leaves no worker", async () => {
    await run(script + endless, (child) => child.kill("SIGKILL"));
  });

  test("a script may take Ctrl-C and go on with its worker", async () => {
    const text = `
      import { Client } from "runabout-client";
      const client = new Client(${JSON.stringify(SETTINGS)});
      await client.start();
      const { pid } = client;
      const alive = setInterval(() => {}, 1000);
      const interrupted = new Promise((resolve) => process.once("SIGINT", resolve));
      console.log(pid);
      await interrupted;
      clearInterval(alive);
      await client.complete({ prefix: "x = ", max_tokens: 2 });
      console.log(client.pid === pid);
    `;
    const { code, last } = await run(text, (child) => process.kill(-child.pid, "SIGINT"));
    assert.deepEqual({ code, last }, { code: 0, last: "true" });
  });

  test("a client that is dropped ends its worker", async () => {
    const drop = `
      const { pid } = client;
      client = undefined;
      const isRunning = () => { try { return process.kill(pid, 0); } catch { return false; } };
      while (isRunning()) { gc(); await new Promise((resolve) => setTimeout(resolve, 10)); }
      console.log("dropped");
    `;
    assert.deepEqual(await run(script + drop, () => {}, ["--expose-gc"]), { code: 0, last: "dropped" });
  });
});
