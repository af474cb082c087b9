// What is accepted of a shown suggestion, seen by the edits of the document.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Shown } from "../../src/shown";

const insert = (offset: number, text: string) => [{ offset, removedLength: 0, text }];

test("an accepted word counts, with all that was typed before it", () => {
  const shown = new Shown(10, "sum(values) / len(values)");
  assert.deepEqual(shown.follow(insert(10, "s")), { kind: "typed" });
  assert.deepEqual(shown.follow(insert(11, "um")), { kind: "accepted", acceptedLength: 3 });
  assert.deepEqual(shown.follow(insert(13, "(values")), { kind: "accepted", acceptedLength: 10 });
});

test("what a person types is not accepted, closed brackets included", () => {
  const shown = new Shown(0, "f()();");
  assert.deepEqual(shown.follow(insert(0, "f")), { kind: "typed" });
  assert.deepEqual(shown.follow(insert(1, "()")), { kind: "typed" });
  const emoji = new Shown(0, "🙂🙂");
  assert.deepEqual(emoji.follow(insert(0, "🙂")), { kind: "typed" });
});

test("the whole text is complete, and no part", () => {
  assert.deepEqual(new Shown(0, "done").follow(insert(0, "done")), { kind: "complete" });
  const shown = new Shown(0, "done");
  shown.follow(insert(0, "do"));
  assert.deepEqual(shown.follow(insert(2, "ne")), { kind: "complete" });
});

test("another text, another place, a deletion or several changes end it", () => {
  assert.deepEqual(new Shown(5, "text").follow(insert(5, "test")), { kind: "gone" });
  assert.deepEqual(new Shown(5, "text").follow(insert(6, "te")), { kind: "gone" });
  assert.deepEqual(new Shown(5, "text").follow([{ offset: 5, removedLength: 1, text: "te" }]), { kind: "gone" });
  assert.deepEqual(new Shown(5, "text").follow([...insert(5, "te"), ...insert(9, "x")]), { kind: "gone" });
});

test("an edit that changes nothing leaves it", () => {
  assert.deepEqual(new Shown(5, "text").follow([]), { kind: "typed" });
});
