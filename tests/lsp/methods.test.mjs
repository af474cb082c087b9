// The whole method set, with the types and the connection of vscode-languageserver-protocol.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CancellationTokenSource, CompletionRequest, ConfigurationRequest, DidChangeConfigurationNotification,
  DidChangeTextDocumentNotification, DidChangeWorkspaceFoldersNotification, DidCloseTextDocumentNotification,
  DidOpenTextDocumentNotification, ExecuteCommandRequest, InlineCompletionRequest, InlineCompletionTriggerKind,
  LSPErrorCodes, ProgressType, RegistrationRequest, ShowMessageNotification, TextDocumentSyncKind,
  WorkDoneProgressCreateRequest, WorkDoneProgress,
} from "vscode-languageserver-protocol/node";
import { MODEL, start } from "./worker.mjs";

const URI = "file:///code/project/src/fib.py";
const TEXT = "def fibonacci(n):\n    if n < 2:\n        return n\n    return fib";

const open = (connection, text = TEXT, uri = URI, languageId = "python") =>
  connection.sendNotification(DidOpenTextDocumentNotification.type, {
    textDocument: { uri, languageId, version: 1, text },
  });

const at = (line, character, uri = URI) => ({ textDocument: { uri }, position: { line, character } });
const invoked = { triggerKind: InlineCompletionTriggerKind.Invoked };
const automatic = { triggerKind: InlineCompletionTriggerKind.Automatic };

test("initialize is answered at once and says what the worker can do", async () => {
  const worker = await start();
  const { capabilities, serverInfo } = worker.initialized;
  assert.equal(serverInfo.name, "runabout");
  assert.deepEqual(capabilities.textDocumentSync, {
    openClose: true, change: TextDocumentSyncKind.Incremental, save: true,
  });
  assert.equal(capabilities.positionEncoding, "utf-16");
  assert.equal(capabilities.inlineCompletionProvider, true);
  assert.equal(capabilities.completionProvider, undefined);
  assert.equal(capabilities.experimental.runabout.model, MODEL);
  await worker.isReady;
  assert.equal(worker.states.at(-1), "ready");
  assert.equal(await worker.end(), 0);
});

test("`runabout serve` speaks LSP to a client that begins with its initialize", async () => {
  const worker = await start({ command: "serve" });
  assert.equal(worker.initialized.capabilities.inlineCompletionProvider, true);
  assert.equal(await worker.end(), 0);
});

test("a suggestion is offered, shown, accepted in part and in full, and counted", async () => {
  const worker = await start();
  const { connection } = worker;
  await open(connection);
  await worker.isReady;
  const list = await connection.sendRequest(InlineCompletionRequest.type, { ...at(3, 14), context: automatic });
  const [item] = list.items;
  assert.deepEqual(item.range, { start: { line: 3, character: 14 }, end: { line: 3, character: 14 } });
  assert.match(item.insertText, /\S/);
  const [report] = worker.reports;
  assert.equal(report.outcome, "offered");
  assert.equal(report.uri, URI);
  assert.equal(report.version, 1);
  assert.ok(report.promptTokens > 10 && report.totalMs >= report.firstTokenMs);
  await connection.sendNotification("textDocument/didShowCompletion", { item });
  await connection.sendNotification("textDocument/didPartiallyAcceptCompletion", { item, acceptedLength: 1 });
  const { command, arguments: args } = item.command;
  assert.equal(await connection.sendRequest(ExecuteCommandRequest.type, { command, arguments: args }), null);
  const counts = await connection.sendRequest(ExecuteCommandRequest.type, { command: "runabout.statistics" });
  assert.equal(counts.shown, 1);
  assert.equal(counts.accepted, 1);
  assert.equal(counts.partiallyAccepted, 1);
  assert.equal(counts.acceptedCharacters, [...item.insertText].length);
  await connection.sendRequest(ExecuteCommandRequest.type, { command: "runabout.resetStatistics" });
  const info = await connection.sendRequest(ExecuteCommandRequest.type, { command: "runabout.info", arguments: [] });
  assert.equal(info.state, "ready");
  assert.equal(info.settings.maxTokens, 128);
  assert.equal(info.last.outcome, "offered");
  await connection.sendRequest(ExecuteCommandRequest.type, { command: "runabout.reject", arguments: args });
  await assert.rejects(connection.sendRequest(ExecuteCommandRequest.type, { command: "runabout.none" }), { code: -32602 });
  assert.equal(await worker.end(), 0);
});

test("alternatives come as partial results, and equal ones once", async () => {
  const worker = await start();
  const { connection } = worker;
  await open(connection);
  await worker.isReady;
  const items = [];
  const token = "alternatives";
  connection.onProgress(new ProgressType(), token, (it) => items.push(...it.items));
  const params = { ...at(3, 14), context: invoked, partialResultToken: token };
  assert.deepEqual(await connection.sendRequest(InlineCompletionRequest.type, params), { items: [] });
  assert.ok(items.length >= 1 && items.length <= 3, `${items.length}`);
  assert.equal(new Set(items.map((it) => it.insertText)).size, items.length);
  const whole = await connection.sendRequest(InlineCompletionRequest.type, { ...at(3, 14), context: invoked });
  assert.ok(whole.items.length >= 1);
  assert.equal(await worker.end(), 0);
});

test("a cancelled request is answered with the error of LSP, and its successor is served", async () => {
  const worker = await start();
  const { connection } = worker;
  await open(connection, "# Numbers\n" + "x = 1\n".repeat(100));
  await worker.isReady;
  const source = new CancellationTokenSource();
  const first = connection.sendRequest(InlineCompletionRequest.type, { ...at(100, 0), context: automatic }, source.token);
  source.cancel();
  await assert.rejects(first, { code: LSPErrorCodes.RequestCancelled });
  assert.equal(worker.reports.at(-1).reason, "cancelled");
  const older = connection.sendRequest(InlineCompletionRequest.type, { ...at(100, 0), context: automatic });
  const newer = connection.sendRequest(InlineCompletionRequest.type, { ...at(5, 0), context: automatic });
  assert.equal(await older, null);
  assert.equal(worker.reports.find((it) => it.reason === "superseded").uri, URI);
  await newer;
  assert.equal(await worker.end(), 0);
});

test("settings are registered for, asked for and obeyed", async () => {
  let section = { enabled: false, maxTokens: "many" };
  const registered = [];
  const messages = [];
  let asked;
  const wasAsked = () => new Promise((resolve) => (asked = resolve));
  let next = wasAsked();
  const worker = await start({
    capabilities: { workspace: { configuration: true, didChangeConfiguration: { dynamicRegistration: true } } },
    handle(connection) {
      connection.onRequest(RegistrationRequest.type, (it) => void registered.push(...it.registrations));
      connection.onRequest(ConfigurationRequest.type, (it) => {
        assert.deepEqual(it.items, [{ section: "runabout" }]);
        setImmediate(() => asked());
        return [section];
      });
      connection.onNotification(ShowMessageNotification.type, (it) => messages.push(it.message));
    },
  });
  const { connection } = worker;
  await next;
  assert.equal(registered[0].method, "workspace/didChangeConfiguration");
  await open(connection);
  await worker.isReady;
  assert.equal(await connection.sendRequest(InlineCompletionRequest.type, { ...at(3, 14), context: automatic }), null);
  assert.equal(worker.reports.at(-1).reason, "disabled");
  assert.equal(messages.length, 1);
  next = wasAsked();
  section = { languages: { python: true, "*": false }, alternatives: 1, minConfidence: 0 };
  await connection.sendNotification(DidChangeConfigurationNotification.type, { settings: null });
  await next;
  const settings = async () => (await connection.sendRequest(ExecuteCommandRequest.type, { command: "runabout.info" })).settings;
  while ((await settings()).alternatives !== 1);
  const list = await connection.sendRequest(InlineCompletionRequest.type, { ...at(3, 14), context: automatic });
  assert.equal(list.items.length, 1);
  assert.equal(await worker.end(), 0);
});

test("loading is shown as progress", async () => {
  const kinds = [];
  let ended;
  const end = new Promise((resolve) => (ended = resolve));
  const worker = await start({
    capabilities: { window: { workDoneProgress: true } },
    handle(connection) {
      connection.onRequest(WorkDoneProgressCreateRequest.type, ({ token }) => {
        connection.onProgress(WorkDoneProgress.type, token, (it) => {
          kinds.push(it.kind);
          if (it.kind === "end") ended();
        });
      });
    },
  });
  await worker.isReady;
  // A model that was loaded before `initialized` has no progress to show.
  if (kinds.length > 0) {
    await end;
    assert.equal(kinds[0], "begin");
  }
  assert.equal(await worker.end(), 0);
});

test("the list, folders, closing and unknown documents", async () => {
  const worker = await start({
    options: { settings: { completionList: true } },
    folders: [{ uri: "file:///code/project", name: "project" }],
  });
  const { connection } = worker;
  assert.deepEqual(worker.initialized.capabilities.completionProvider, {});
  await open(connection);
  await worker.isReady;
  const list = await connection.sendRequest(CompletionRequest.type, at(3, 14));
  assert.equal(list.isIncomplete, true);
  assert.equal(list.items.length, 1);
  // Editors list only entries that begin with the word before the cursor, so it is part of the entry.
  assert.deepEqual(list.items[0].textEdit.range.start, { line: 3, character: 11 });
  assert.ok(list.items[0].textEdit.newText.startsWith("fib"), list.items[0].textEdit.newText);
  await connection.sendNotification(DidChangeWorkspaceFoldersNotification.type, {
    event: { added: [], removed: [{ uri: "file:///code/project", name: "project" }] },
  });
  await connection.sendNotification(DidCloseTextDocumentNotification.type, { textDocument: { uri: URI } });
  await connection.sendNotification(DidChangeTextDocumentNotification.type, {
    textDocument: { uri: URI, version: 9 }, contentChanges: [{ text: "nowhere" }],
  });
  assert.equal(await connection.sendRequest(InlineCompletionRequest.type, { ...at(3, 14), context: invoked }), null);
  assert.equal(worker.reports.at(-1).reason, "unknown_document");
  await assert.rejects(connection.sendRequest("textDocument/hover", at(0, 0)), { code: -32601 });
  assert.equal(await worker.end(), 0);
});

test("native methods stream on the same connection", async () => {
  const worker = await start();
  const { connection } = worker;
  await worker.isReady;
  let text = "";
  connection.onNotification("delta", (it) => (text += it.text));
  const result = await connection.sendRequest("complete", { prefix: "1, 2, 3, 4,", mode: "raw", max_tokens: 8, stream: true });
  assert.equal(text, result.text);
  const messages = [{ role: "user", content: "Say yes." }];
  const answer = await connection.sendRequest("chat", { messages, max_tokens: 8 });
  assert.equal(answer.message.role, "assistant");
  const status = await connection.sendRequest("status", {});
  assert.equal(status.state, "ready");
  await assert.rejects(connection.sendRequest("complete", { prefix: "x", mode: "raw", max_tokens: 0 }), { code: -32602 });
  assert.equal(await worker.end(), 0);
});

test("exit without shutdown is an error, and so the exit code says", async () => {
  const worker = await start();
  await worker.connection.sendNotification("exit");
  assert.equal(await worker.exited, 1);
});
