// When the worker is started again, and how often the person hears of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Restarts } from "../../src/restarts";

test("crashes in a row are announced once, wait longer each time, and end", () => {
  const restarts = new Restarts();
  const seen = [];
  for (;;) {
    const after = restarts.crashed(1_000);
    if (after.action === "give up") {
      break;
    }
    seen.push(after);
  }
  assert.deepEqual(seen.map(({ announce }) => announce), [true, ...seen.slice(1).map(() => false)]);
  const delays = seen.map(({ delayMs }) => delayMs);
  assert.deepEqual(delays, [...delays].sort((a, b) => a - b));
  assert.ok(delays.at(-1)! > delays[0]!);
});

test("a crash after a healthy run is a new one", () => {
  const restarts = new Restarts();
  restarts.crashed(1_000);
  restarts.crashed(1_000);
  assert.deepEqual(restarts.crashed(60 * 60_000), { action: "restart", delayMs: 500, announce: true });
});

test("a start by the person forgets the crashes before", () => {
  const restarts = new Restarts();
  restarts.crashed(1_000);
  restarts.reset();
  assert.deepEqual(restarts.crashed(1_000), { action: "restart", delayMs: 500, announce: true });
});
