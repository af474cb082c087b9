// What the model gets to see of a conversation, and how its code fits into the document.

import assert from "node:assert/strict";
import { test } from "node:test";
import { label, messages, shown, type Excerpt } from "../../src/chat/conversation";
import { fit } from "../../src/chat/fit";

const EXCERPT: Excerpt = { path: "src/stats.py", languageId: "python", firstLine: 3, lastLine: 4, text: "def f():\n    pass\n" };

test("the selected code goes before the question, in a fence", () => {
  const [system, user] = messages([{ role: "user", text: "Why?", about: EXCERPT }]);
  assert.equal(system?.role, "system");
  assert.equal(user?.content, "src/stats.py, lines 3 to 4:\n\n```python\ndef f():\n    pass\n```\n\nWhy?");
});

test("code that has fences itself gets a longer one", () => {
  const [, user] = messages([{ role: "user", text: "?", about: { ...EXCERPT, text: "````\nx" } }]);
  assert.match(user?.content ?? "", /\n`````python\n````\nx\n`````\n/);
});

test("a question whose answer has no text is left out, with its answer", () => {
  const roles = messages([
    { role: "user", text: "lost" },
    { role: "assistant", text: "", note: "The worker ended." },
    { role: "user", text: "again" },
  ]).map(({ content }) => content);
  assert.deepEqual(roles.slice(1), ["again"]);
});

test("a turn is labelled with its file and lines", () => {
  assert.equal(label(EXCERPT), "stats.py:3-4");
  assert.equal(label({ ...EXCERPT, lastLine: 3 }), "stats.py:3");
  assert.deepEqual(shown({ role: "user", text: "Why?", about: EXCERPT }), { role: "user", text: "Why?", about: "stats.py:3-4" });
});

test("code that stands further left than the original is moved to it", () => {
  assert.equal(fit("def f():\n    return 1", "    def f():\n        pass\n"), "    def f():\n        return 1\n");
  assert.equal(fit("if x:\n\ty()", "\tif x:\n\t\tz()"), "\tif x:\n\t\ty()");
});

test("code that is indented as the original is left as it is", () => {
  assert.equal(fit("    a\n\n    b\n", "    a\n"), "    a\n\n    b\n");
  assert.equal(fit("a = 1", "b = 2"), "a = 1");
});

test("the end of the last line is that of the original", () => {
  assert.equal(fit("a\n\n", "b"), "a");
  assert.equal(fit("a", "b\n"), "a\n");
});
