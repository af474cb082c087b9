// The agent with the protocol's own client library and a real model.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { methods } from "@agentclientprotocol/sdk";
import { briefly, folder, MODEL, text, until, withAgent } from "./agent.mjs";

const say = (words) => [{ type: "text", text: words }];

test("a conversation, from the handshake to the end of the process", async () => {
  const [home, cwd] = [folder(), folder()];
  const { code } = await withAgent({ home, cwd }, async ({ agent, initialized, seen }) => {
    assert.equal(initialized.protocolVersion, 1);
    assert.equal(initialized.agentInfo.name, "runabout");
    assert.deepEqual(initialized.authMethods, []);
    const session = await agent.request(methods.agent.session.new, { cwd, mcpServers: [] });
    const { sessionId } = session;
    assert.equal(session.configOptions[0].currentValue, MODEL);
    await until(() => seen.updates.some((it) => it.update.sessionUpdate === "available_commands_update"));
    const prompt = say("Reply with the word yes.");
    const { stopReason } = await agent.request(methods.agent.session.prompt, { sessionId, prompt });
    // The smallest model may go on and on.
    assert.ok(["end_turn", "max_tokens"].includes(stopReason), stopReason);
    assert.notEqual(text(seen, "agent_message_chunk"), "");
    const usage = seen.updates.map((it) => it.update).find((it) => it.sessionUpdate === "usage_update");
    assert.ok(usage.used > 0 && usage.used < usage.size);
    const set = { sessionId, configId: "model", value: MODEL };
    assert.equal((await agent.request(methods.agent.session.setConfigOption, set)).configOptions.length, 1);
    await assert.rejects(
      agent.request(methods.agent.session.setConfigOption, { ...set, value: "another" }),
      (error) => error.code === -32602,
    );
  });
  assert.equal(code, 0);
});

test("a prompt ends when it is cancelled, in either way, and what it waits for is taken back", async () => {
  const [home, cwd] = [folder(), folder()];
  // The model may end at any time, but this file is never read.
  const link = { type: "resource_link", uri: pathToFileURL(join(cwd, "a.txt")).href, name: "a.txt" };
  let nTakenBack = 0;
  const read = (signal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => (nTakenBack++, reject(new Error("taken back")))));
  await withAgent({ home, cwd, read }, async ({ agent, seen }) => {
    const { sessionId } = await agent.request(methods.agent.session.new, { cwd, mcpServers: [] });
    const prompt = [...say("What is this?"), link];
    const cancelled = agent.request(methods.agent.session.prompt, { sessionId, prompt });
    await until(() => seen.reads.length === 1);
    await agent.notify(methods.agent.session.cancel, { sessionId });
    assert.equal((await cancelled).stopReason, "cancelled");
    await until(() => nTakenBack === 1);

    const abort = new AbortController();
    const options = { cancellationSignal: abort.signal };
    const aborted = agent.request(methods.agent.session.prompt, { sessionId, prompt }, options);
    await until(() => seen.reads.length === 2);
    abort.abort();
    assert.equal((await aborted).stopReason, "cancelled");
    await until(() => nTakenBack === 2);
  });
});

test("a session is listed, loaded, resumed, closed and deleted by later processes", async () => {
  const [home, cwd] = [folder(), folder()];
  const { result: sessionId } = await withAgent({ home, cwd }, async ({ agent, seen }) => {
    const { sessionId } = await agent.request(methods.agent.session.new, { cwd, mcpServers: [] });
    await briefly({ agent, seen }, sessionId, say("Reply with the word yes."));
    return sessionId;
  });
  const old = { sessionId, cwd, mcpServers: [] };
  await withAgent({ home, cwd }, async ({ agent, seen }) => {
    const { sessions } = await agent.request(methods.agent.session.list, { cwd });
    assert.deepEqual(sessions.map((it) => [it.sessionId, it.title]), [[sessionId, "Reply with the word yes."]]);
    await agent.request(methods.agent.session.load, old);
    assert.equal(text(seen, "user_message_chunk"), "Reply with the word yes.");
    assert.notEqual(text(seen, "agent_message_chunk"), "");
    const { stopReason } = await briefly({ agent, seen }, sessionId, say("Again."));
    assert.notEqual(stopReason, "refusal");
  });
  await withAgent({ home, cwd }, async ({ agent, seen }) => {
    await agent.request(methods.agent.session.resume, old);
    assert.equal(text(seen, "user_message_chunk"), "");
    await agent.request(methods.agent.session.close, { sessionId });
    await agent.request(methods.agent.session.delete, { sessionId });
    assert.deepEqual((await agent.request(methods.agent.session.list, {})).sessions, []);
    await assert.rejects(agent.request(methods.agent.session.load, old), (error) => error.code === -32002);
  });
});

test("a linked file is read through the client, and an embedded one is not", async () => {
  const [home, cwd] = [folder(), folder()];
  const path = join(cwd, "notes.txt");
  writeFileSync(path, "The secret word is heron.\n");
  await withAgent({ home, cwd }, async ({ agent, seen }) => {
    const { sessionId } = await agent.request(methods.agent.session.new, { cwd, mcpServers: [] });
    const uri = pathToFileURL(path).href;
    const link = { type: "resource_link", uri, name: "notes.txt" };
    const ask = (block) => briefly({ agent, seen }, sessionId, [block, ...say("Repeat this file.")]);
    await ask(link);
    assert.deepEqual(seen.reads, [path]);
    const updates = seen.updates.map((it) => it.update);
    const step = updates.find((it) => it.sessionUpdate === "tool_call" && it.kind === "read");
    assert.equal(updates.findLast((it) => it.toolCallId === step.toolCallId).status, "completed");
    await ask({ type: "resource", resource: { uri, text: "The secret word is heron.\n" } });
    assert.deepEqual(seen.reads, [path]);
  });
});
