// What the worker reports in codes, in words for a person.

import assert from "node:assert/strict";
import { test } from "node:test";
import { countsInWords, errorInWords, exitInWords, isFinal, silenceInBrief, silenceInWords, type Exit } from "../../src/words";

const exit = (of: Partial<Exit>): Exit => ({ code: null, signal: null, log: [], ...of });

test("an error of a known kind says what to do", () => {
  assert.match(errorInWords({ message: "x", data: { kind: "prompt_too_long" } }), /new chat/);
  assert.match(errorInWords({ message: "x", data: { kind: "overloaded" } }), /Try again/);
  assert.equal(errorInWords({ message: "x", data: { kind: "model_load_failed", cause: "no file", hint: "get one" } }), "The model could not be loaded: no file (get one)");
});

test("an error of an unknown kind keeps its own words", () => {
  assert.equal(errorInWords({ message: "strange", data: { kind: "new_kind" } }), "strange");
  assert.equal(errorInWords("strange"), "strange");
});

test("silence that comes from typing on is not worth a word", () => {
  assert.equal(silenceInBrief({ uri: "", outcome: "nothing", reason: "superseded" }), undefined);
  assert.equal(silenceInBrief({ uri: "", outcome: "nothing", reason: "cancelled" }), undefined);
  assert.equal(silenceInBrief({ uri: "", outcome: "nothing", reason: "a new reason" }), "nothing");
});

test("the worker's own sentence about silence comes first", () => {
  assert.equal(silenceInWords({ uri: "", outcome: "nothing", reason: "low_confidence", message: "Too unsure." }), "Too unsure.");
  assert.equal(silenceInWords({ uri: "", outcome: "nothing", reason: "low_confidence" }), "Nothing was suggested: unsure.");
});

test("a worker that refuses its options is not started again, a killed one is", () => {
  assert.ok(isFinal(exit({ code: 2 })));
  assert.ok(isFinal(exit({ code: 1 })));
  assert.ok(!isFinal(exit({ code: 70 })));
  assert.ok(!isFinal(exit({ signal: "SIGKILL" })));
});

test("a program without the command lsp is called too old", () => {
  assert.match(exitInWords(exit({ code: 2, log: ["error: unrecognized subcommand 'lsp'", "", "Usage: runabout <COMMAND>"] })), /too old/);
});

test("refused options are shown as the worker names them", () => {
  assert.match(exitInWords(exit({ code: 2, log: ["error: unexpected argument '--fast' found"] })), /unexpected argument '--fast' found/);
});

test("a worker that cannot start is explained by its own last words", () => {
  assert.match(exitInWords(exit({ code: 1, log: ["INFO starting", "no room on the disk", ""] })), /could not start: no room on the disk/);
});

test("counts are put into words, and unknown ones keep their names", () => {
  const counts = { shown: 5, accepted: 2, partiallyAccepted: 1, retained: 1, retainedOf: 2, shownToAcceptMs: 1500, novel: 7 };
  assert.deepEqual(countsInWords(counts), [
    ["shown", "5"],
    ["accepted", "2"],
    ["accepted in part", "1"],
    ["novel", "7"],
    ["unchanged after 30 seconds", "1 of 2 accepted ones"],
    ["from showing to accepting, usually", "1.5 s"],
  ]);
});
