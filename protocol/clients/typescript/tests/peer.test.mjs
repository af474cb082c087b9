// The client with peers that play a part, see `protocol/clients/peer.py`: what the real worker never does.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Limit } from "../dist/limit.js";
import { Client, findProgram, ProgramNotFound, RequestFailed, RequestTimedOut, WorkerEnded } from "runabout-client";

const PEER = process.env.RUNABOUT_PEER ?? fileURLToPath(new URL("../../peer.py", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "runabout-peer-"));
after(() => rmSync(folder, { recursive: true }));

function program(part) {
  const path = join(folder, part);
  writeFileSync(path, `#!/bin/sh\nexec python3 "${PEER}" ${part} "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

async function withPeer(part, settings, use) {
  const client = new Client({ program: program(part), ...settings });
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

test("what a later protocol adds is kept and does no harm", async () => {
  const told = [];
  const deltas = [];
  const onNotification = (method, params) => told.push([method, params]);
  const result = await withPeer("future", { onNotification }, (client) =>
    client.complete({ prefix: "a" }, { onDelta: (delta) => deltas.push(delta.text) }),
  );
  assert.deepEqual([result.text, result.finish_reason, result.new], ["text", "bored", [1]]);
  assert.deepEqual(deltas, ["tex"]);
  assert.deepEqual(told.find(([method]) => method === "forecast"), ["forecast", [1, 2]]);
  assert.equal(told.find(([method]) => method === "progress")[1].stage, "dream");
});

test("reasoning is told apart from the answer", async () => {
  await withPeer("thinker", {}, async (client) => {
    const told = { reasoning: "", content: "" };
    const stream = client.chatStream({ messages: "a" });
    for await (const delta of stream) told[delta.reasoning ? "reasoning" : "content"] += delta.text;
    const { reasoning, content } = (await stream.result).message;
    assert.deepEqual(told, { reasoning, content });
  });
});

test("an unknown kind of error is an error with its kind and hint", async () => {
  await withPeer("future", {}, async (client) => {
    const error = await client.warm({ prefix: "a" }).catch((it) => it);
    assert(error instanceof RequestFailed);
    assert.deepEqual([error.code, error.kind, error.hint, error.data.new], [1999, "too_tired", "wait", 1]);
    assert.equal(String(error), "RequestFailed: cannot\nhint: wait");
  });
});

test("stray output is skipped", async () => {
  const logged = [];
  await withPeer("noisy", { onLog: (line) => logged.push(line) }, async (client) => {
    assert.equal((await client.complete({ prefix: "a" })).text, "text");
  });
  assert(logged.some((line) => line.includes("Loading checkpoint shards")), logged.join("\n"));
});

test("extra parameters are passed on", async () => {
  await withPeer("future", {}, async (client) => {
    const result = await client.complete({ prefix: "a" }, { extra: { x_new: [1], n: 2 } });
    assert.deepEqual(result.params, { stream: false, prefix: "a", x_new: [1], n: 2 });
  });
});

test("what the worker could not read fails before it is sent", async () => {
  await withPeer("future", {}, async (client) => {
    const error = await client.complete({ prefix: "a".repeat(1000) }).catch((it) => it);
    assert.deepEqual([error.code, error.data.max_frame_bytes], [-32007, 1000]);
    await assert.rejects(client.complete({ prefix: "\ud800" }), TypeError);
    // A backslash before `ud800` is no surrogate.
    assert.equal((await client.complete({ prefix: "\\ud800" })).params.prefix, "\\ud800");
  });
});

test("an error of a callback is that of its request", async () => {
  await withPeer("future", {}, async (client) => {
    const onDelta = () => {
      throw new RangeError("refused");
    };
    await assert.rejects(client.complete({ prefix: "a" }, { onDelta }), RangeError);
    assert.equal((await client.complete({ prefix: "a" })).text, "text");
  });
});

test("an answer that was cut off is no value, although it looks whole", async () => {
  await withPeer("future", {}, async (client) => {
    await assert.rejects(client.chatJson({ messages: "a" }, { type: "integer" }), { name: "IncompleteAnswer" });
  });
});

test("closing fails what is not answered", async () => {
  await withPeer("deaf", {}, async (client) => {
    await client.start();
    const { result } = client.completeStream({ prefix: "a" });
    await assert.rejects(client.status({ timeoutMs: 100 }), RequestTimedOut);
    await client.close();
    await assert.rejects(result, { name: "ClientClosed" });
  });
});

test("restarts wait longer and longer", async () => {
  await withPeer("crash", {}, async (client) => {
    const ends = [];
    for (let i = 0; i < 4; i++) {
      const error = await client.complete({ prefix: "a" }).catch((it) => it);
      ends.push(performance.now());
      assert(error instanceof WorkerEnded);
      assert.deepEqual([error.exitCode, error.log], [3, ["one line of the log"]]);
    }
    // The second start is immediate. Timers may be early by part of a millisecond.
    assert(ends[2] - ends[1] >= 249, `${ends}`);
    assert(ends[3] - ends[2] >= 499, `${ends}`);
    await assert.rejects(client.complete({ prefix: "a" }, { timeoutMs: 10 }), RequestTimedOut);
  });
});

test("without restart the client stays ended", async () => {
  await withPeer("crash", { restart: false }, async (client) => {
    await assert.rejects(client.complete({ prefix: "a" }), WorkerEnded);
    const { pid } = client;
    await assert.rejects(client.complete({ prefix: "a" }), WorkerEnded);
    assert.equal(client.pid, pid);
  });
});

test("requests beyond the queue of the worker wait, and those that give up make room", async () => {
  await withPeer("deaf", {}, async (client) => {
    const abandon = new AbortController();
    const { signal } = abandon;
    const waiting = [1, 1, 1, 3].map((n) => client.complete({ prefix: "a", n }, { signal }).catch((it) => it.name));
    await assert.rejects(client.complete({ prefix: "a" }, { timeoutMs: 100 }), RequestTimedOut);
    abandon.abort();
    assert.deepEqual(await Promise.all(waiting), Array(4).fill("RequestCancelled"));
  });
});

test("who gives up before there is room takes no place, and lets those behind go on", async () => {
  const limit = new Limit(4);
  const forever = new AbortController().signal;
  const giveBack = await limit.take(3, forever);
  const abandon = new AbortController();
  const large = limit.take(3, abandon.signal);
  const small = limit.take(1, forever);
  abandon.abort("enough");
  assert.equal(await large.catch((it) => it), "enough");
  (await small)();
  giveBack();
  giveBack();
  (await limit.take(9, forever))();
});

test("the program is the argument, or the variable, or on the path", () => {
  const [onPath, named, given] = ["runabout", "named", "given"].map(program);
  const before = { ...process.env };
  try {
    process.env.PATH = folder;
    process.env.RUNABOUT = named;
    assert.deepEqual([findProgram(given), findProgram()], [given, named]);
    delete process.env.RUNABOUT;
    assert.equal(findProgram(), onPath);
    process.env.RUNABOUT = "/no/such/program";
    assert.throws(() => findProgram(), /no\/such\/program.*RUNABOUT/);
    process.env.RUNABOUT = "";
    process.env.PATH = "";
    assert.throws(() => findProgram(), ProgramNotFound);
  } finally {
    process.env = before;
  }
});
