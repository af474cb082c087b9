// Starts the agent and connects the protocol's own client library to it.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { after } from "node:test";
import { client, methods, ndJsonStream, PROTOCOL_VERSION } from "@agentclientprotocol/sdk";

/** The model's folder, so that the agent finds it whatever its environment. */
export const MODEL = execFileSync(process.env.RUNABOUT, ["models", "path", process.env.RUNABOUT_TEST_MODEL], {
  encoding: "utf8",
}).trim();

/** A folder for this test only. */
export function folder() {
  const path = mkdtempSync(join(tmpdir(), "runabout-acp-"));
  after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** The command line of the agent. */
export const command = [process.env.RUNABOUT, "acp", "--offline", "--model", MODEL];

// A test that fails leaves its agent behind, which would keep this process alive.
const children = [];
after(() => children.forEach((it) => it.kill()));

/**
 * Runs `work` with an agent that keeps its state in `home`, and an editor that reads and writes files in `cwd`.
 * `permit` says which option of a request for permission is chosen, and `read` returns the text of a file.
 */
export async function withAgent({ home, cwd, permit = () => "cancelled", read, capabilities }, work) {
  const [program, ...args] = command;
  const env = { ...process.env, XDG_STATE_HOME: home };
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"], cwd, env });
  children.push(child);
  const exited = new Promise((resolve) => child.on("exit", resolve));
  const seen = { updates: [], reads: [], writes: [], permissions: [] };
  const app = client({ name: "conformance test" })
    .onNotification(methods.client.session.update, ({ params }) => void seen.updates.push(params))
    .onRequest(methods.client.fs.readTextFile, async ({ params, signal }) => {
      seen.reads.push(params.path);
      return { content: read ? await read(signal) : readFileSync(params.path, "utf8") };
    })
    .onRequest(methods.client.fs.writeTextFile, ({ params }) => {
      seen.writes.push(params.path);
      writeFileSync(params.path, params.content);
      return {};
    })
    .onRequest(methods.client.session.requestPermission, ({ params }) => {
      seen.permissions.push(params);
      const chosen = permit(params);
      return { outcome: chosen === "cancelled" ? { outcome: chosen } : { outcome: "selected", optionId: chosen } };
    });
  const stream = ndJsonStream(Writable.toWeb(child.stdin), Readable.toWeb(child.stdout));
  const result = await app.connectWith(stream, async (agent) => {
    const initialized = await agent.request(methods.agent.initialize, {
      protocolVersion: PROTOCOL_VERSION,
      clientCapabilities: capabilities ?? { fs: { readTextFile: true, writeTextFile: true } },
      clientInfo: { name: "conformance test", version: "1" },
    });
    return await work({ agent, initialized, seen, child });
  });
  child.stdin.end();
  return { result, code: await exited };
}

/** The joined texts of the updates of one kind. */
export function text(seen, kind) {
  const chunks = seen.updates.map((it) => it.update).filter((it) => it.sessionUpdate === kind);
  return chunks.map((it) => it.content.text).join("");
}

/** Waits until something holds that notifications bring about. */
export async function until(holds) {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/**
 * Sends a prompt, and cancels it once it is answered with text: what the model says, and how much, is drawn anew each
 * time.
 */
export async function briefly({ agent, seen }, sessionId, prompt) {
  const before = text(seen, "agent_message_chunk");
  let isAnswered = false;
  const answer = agent.request("session/prompt", { sessionId, prompt }).finally(() => (isAnswered = true));
  await until(() => isAnswered || text(seen, "agent_message_chunk") !== before);
  if (!isAnswered) await agent.notify("session/cancel", { sessionId });
  return await answer;
}
