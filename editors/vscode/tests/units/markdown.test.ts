// An answer in blocks, also while it is still being written.

import assert from "node:assert/strict";
import { test } from "node:test";
import { blocks, spans } from "../../src/chat/markdown";

const ANSWER = "Here:\n\n```python\ndef f():\n\n    return 1\n```\nIt is **short**, see `f`.\n\n1. one\n- two\n# End";

test("prose and code are told apart", () => {
  assert.deepEqual(blocks(ANSWER), [
    { kind: "paragraph", text: "Here:" },
    { kind: "code", language: "python", text: "def f():\n\n    return 1", closed: true },
    { kind: "paragraph", text: "It is **short**, see `f`." },
    { kind: "item", marker: "1.", text: "one" },
    { kind: "item", marker: "•", text: "two" },
    { kind: "heading", text: "End" },
  ]);
});

test("code without its closing fence is code that is not finished", () => {
  assert.deepEqual(blocks("```js\nlet a"), [{ kind: "code", language: "js", text: "let a", closed: false }]);
});

test("every beginning of an answer gives blocks with all of its code", () => {
  for (let n = 0; n <= ANSWER.length; n += 1) {
    const code = blocks(ANSWER.slice(0, n)).find(({ kind }) => kind === "code");
    assert.ok(code === undefined || "def f():\n\n    return 1\n``".startsWith(code.text), JSON.stringify(code));
  }
});

test("a longer fence holds shorter ones, an indented one indents its code", () => {
  assert.deepEqual(blocks("````md\n```\nx\n```\n````"), [{ kind: "code", language: "md", text: "```\nx\n```", closed: true }]);
  assert.deepEqual(blocks("  ```\n  a\n    b\n  ```"), [{ kind: "code", language: "", text: "a\n  b", closed: true }]);
});

test("inline code and strong text are spans, the rest is text as it is", () => {
  assert.deepEqual(spans("a `b` **c** <i>d</i>"), [
    { kind: "text", text: "a " },
    { kind: "code", text: "b" },
    { kind: "text", text: " " },
    { kind: "strong", text: "c" },
    { kind: "text", text: " <i>d</i>" },
  ]);
});
