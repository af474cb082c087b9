import assert from "node:assert/strict";
import { test } from "node:test";
import { drawn, endOfLast, isNear, placeInWords } from "../../src/next_edit/changes";
import { noNextEditInWords } from "../../src/words";

const edit = (line: number, character: number, endLine: number, endCharacter: number, newText: string) => ({
  range: { start: { line, character }, end: { line: endLine, character: endCharacter } },
  newText,
});

const lines = (text: string) => ({ count: text.split("\n").length, length: (line: number) => text.split("\n")[line]?.length ?? 0 });

test("the cursor is near an edit in the lines that it changes", () => {
  const edits = [edit(3, 0, 3, 4, "x"), edit(5, 1, 6, 0, "")];
  assert.deepEqual([2, 3, 4, 6, 7].map((line) => isNear(edits, line)), [false, true, true, true, false]);
  assert.equal(isNear([], 0), false);
});

test("line breaks of what is added are drawn as signs", () => {
  assert.equal(drawn("width, height"), "width, height");
  assert.equal(drawn("\n    return a\r\n\n    b\n"), "⏎ return a⏎ ⏎ b⏎");
  assert.equal(drawn("x".repeat(500)).length, 161);
});

test("the place is named only if it is not in the window", () => {
  assert.equal(placeInWords(5, [{ first: 0, last: 9 }]), undefined);
  assert.equal(placeInWords(45, [{ first: 0, last: 9 }]), "↓ next edit in line 46");
  assert.equal(placeInWords(0, [{ first: 3, last: 9 }, { first: 12, last: 20 }]), "↑ next edit in line 1");
  // In a fold between the visible lines.
  assert.equal(placeInWords(10, [{ first: 3, last: 9 }, { first: 12, last: 20 }]), "↓ next edit in line 11");
});

test("the cursor goes behind the last edit", () => {
  const before = "ab\ncd\nef";
  assert.deepEqual(endOfLast([edit(0, 0, 0, 1, "x\ny"), edit(1, 1, 1, 1, "12\n3")], lines(before), lines("x\nyb\nc12\n3d\nef")), { line: 3, character: 1 });
  assert.deepEqual(endOfLast([edit(2, 2, 2, 2, "\ng")], lines(before), lines(`${before}\ng`)), { line: 3, character: 1 });
  assert.deepEqual(endOfLast([edit(1, 0, 2, 0, "")], lines(before), lines("ab\nef")), { line: 1, character: 0 });
});

test("it is said why there is none", () => {
  const message = "The model would change nothing here.";
  assert.equal(noNextEditInWords({ state: "ready", nextEdit: { outcome: "nothing", message } }), message);
  assert.equal(noNextEditInWords({ state: "ready", nextEdit: null }), "There is no next edit here.");
});
