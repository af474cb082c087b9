// The worker's documents are equal to those of an editor, which vscode-languageserver-textdocument keeps here.
//
// Two prompts are equal if the second one is found in the cache completely; only its last token is computed again. So a
// document is compared by completing it, then opening the editor's text under the same name elsewhere, and completing
// that at the same place.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import {
  DidChangeTextDocumentNotification, DidCloseTextDocumentNotification, DidOpenTextDocumentNotification,
  InlineCompletionRequest, InlineCompletionTriggerKind,
} from "vscode-languageserver-protocol/node";
import { TextDocument } from "vscode-languageserver-textdocument";
import { start } from "./worker.mjs";

const URI = "file:///one/numbers.py";
const SAME = "file:///two/numbers.py";

/** A worker with one document, and the editor's own. Edits reach both. */
async function withDocument(text, capabilities = {}) {
  const worker = await start({ capabilities, options: { settings: { maxTokens: 4, ahead: false, alternatives: 1 } } });
  const { connection } = worker;
  const document = TextDocument.create(URI, "python", 1, text);
  const open = (uri, text) => connection.sendNotification(DidOpenTextDocumentNotification.type, {
    textDocument: { uri, languageId: "python", version: 1, text },
  });
  await open(URI, text);
  await worker.isReady;
  const complete = async (uri, position) => {
    await connection.sendRequest(InlineCompletionRequest.type, {
      textDocument: { uri }, position, context: { triggerKind: InlineCompletionTriggerKind.Invoked },
    });
    return worker.reports.at(-1);
  };
  return {
    worker, document,
    async edit(...contentChanges) {
      const version = document.version + 1;
      TextDocument.update(document, structuredClone(contentChanges), version);
      await connection.sendNotification(DidChangeTextDocumentNotification.type, {
        textDocument: { uri: URI, version }, contentChanges,
      });
    },
    /** Checks that the worker has the editor's text around this place. */
    async compare(position) {
      // How much of a document is used follows the measured speed, so it may change once after a long prompt; and at first
      // only the text near the cursor is used, while the rest is computed.
      let ours = await complete(URI, position);
      for (let before; before?.promptTokens !== ours.promptTokens || ours.leftOutTokens; ) {
        if (ours.leftOutTokens) {
          await setTimeout(500);
        }
        [before, ours] = [ours, await complete(URI, position)];
      }
      await open(SAME, document.getText());
      const same = await complete(SAME, position);
      await connection.sendNotification(DidCloseTextDocumentNotification.type, { textDocument: { uri: SAME } });
      assert.ok(ours.promptTokens > 8, JSON.stringify(ours));
      assert.equal(same.promptTokens, ours.promptTokens);
      assert.equal(same.cachedTokens, same.promptTokens - 1, "the prompts differ");
    },
  };
}

const range = (l1, c1, l2, c2) => ({ start: { line: l1, character: c1 }, end: { line: l2, character: c2 } });

test("the comparison notices a difference of one character", async () => {
  const { worker, document, edit, compare } = await withDocument("one = 1\ntwo = 2\nthree = 3\n");
  await edit({ range: range(0, 0, 0, 0), text: "#" });
  TextDocument.update(document, [{ range: range(0, 0, 0, 1), text: "" }], 9);
  await assert.rejects(compare({ line: 2, character: 9 }));
  await worker.end();
});

for (const [name, lineEnd] of [["LF", "\n"], ["CRLF", "\r\n"]]) {
  test(`edits around emoji in a file with ${name}`, async () => {
    const lines = ["x = '😀😀'", "y = '👩‍👩‍👧'  # é", "z = 'a😎b'", ""];
    const { worker, edit, compare, document } = await withDocument(lines.join(lineEnd));
    await edit({ range: range(0, 7, 0, 7), text: "é" });
    await edit({ range: range(0, 5, 0, 7), text: "" }, { range: range(2, 6, 2, 8), text: "💥💥" });
    await edit({ range: range(1, 0, 2, 0), text: `w = 1${lineEnd}v = '😀'${lineEnd}` });
    await edit({ range: range(3, 0, 3, 0), text: "😀" });
    await compare({ line: document.lineCount - 1, character: 0 });
    assert.equal(await worker.end(), 0);
  });
}

test("a suggestion in a file with CRLF has CRLF", async () => {
  const text = "def f(a):\r\n    return a\r\n\r\n\r\ndef g(a):";
  const { worker } = await withDocument(text);
  await worker.connection.sendNotification("workspace/didChangeConfiguration", { settings: { runabout: { maxTokens: 24 } } });
  const list = await worker.connection.sendRequest(InlineCompletionRequest.type, {
    textDocument: { uri: URI }, position: { line: 4, character: 9 }, context: { triggerKind: 1 },
  });
  const inserted = list.items[0].insertText;
  assert.match(inserted, /\r\n/);
  assert.doesNotMatch(inserted.replaceAll("\r\n", ""), /[\r\n]/);
  assert.equal(await worker.end(), 0);
});

test("2,000 rapid edits with requests among them", async () => {
  const lines = Array.from({ length: 60 }, (_, idx) => `value_${idx} = "😀 ${idx}"`);
  const { worker, document, edit, compare } = await withDocument(lines.join("\n"));
  let seed = 7;
  const random = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  const pieces = ["a", "b", "é", "😀", "\n", " = ", "", "👩‍👧", "(", ")"];
  const answers = [];
  for (let n = 0; n < 2000; n++) {
    // Every place is one that an editor can have: between characters, never inside a pair of surrogates.
    const place = () => {
      const line = random(document.lineCount);
      const text = document.getText(range(line, 0, line + 1, 0)).replace(/\n$/, "");
      const starts = [...text].reduce((all, it) => [...all, all.at(-1) + it.length], [0]);
      return { line, character: starts[random(starts.length)] };
    };
    const start = place();
    const end = random(4) === 0 && start.line > 0 ? { ...start } : start;
    if (end !== start && start.character > 0) start.character = 0;
    await edit({ range: { start, end }, text: pieces[random(pieces.length)] });
    if (n % 50 === 0) {
      answers.push(worker.connection.sendRequest(InlineCompletionRequest.type, {
        textDocument: { uri: URI }, position: end, context: { triggerKind: 2 },
      }));
    }
  }
  await Promise.all(answers);
  await compare({ line: document.lineCount - 1, character: 0 });
  await compare({ line: Math.floor(document.lineCount / 2), character: 0 });
  assert.equal(await worker.end(), 0);
});

test("a document of 10 MB", async () => {
  const line = "total = total + 1  # 😀 and so on\n";
  const { worker, edit, compare } = await withDocument(line.repeat(Math.ceil((10 << 20) / Buffer.byteLength(line))));
  for (let n = 0; n < 100; n++) {
    await edit({ range: range(150_000 + n, 0, 150_000 + n, 0), text: `x_${n} = "😀"\n` });
  }
  await compare({ line: 150_100, character: 0 });
  await compare({ line: 0, character: 5 });
  await compare({ line: 1_000_000, character: 0 });
  assert.equal(await worker.end(), 0);
});
