// Starts the worker as a language server and connects the client library of VS Code's language client to it.
import { spawn } from "node:child_process";
import { after } from "node:test";
import {
  createProtocolConnection, StreamMessageReader, StreamMessageWriter,
  InitializeRequest, InitializedNotification, ShutdownRequest, ExitNotification,
} from "vscode-languageserver-protocol/node";

export const MODEL = process.env.RUNABOUT_TEST_MODEL;

// A test that fails leaves its worker behind, which would keep this process alive.
const children = [];
after(() => children.forEach((it) => it.kill()));

/** A worker and the connection to it. `handle` can add handlers before the connection listens. */
export async function start({ capabilities = {}, options = {}, folders = null, handle = () => {}, command = "lsp" } = {}) {
  const child = spawn(process.env.RUNABOUT, [command, "--offline", "--model", MODEL], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.push(child);
  const exited = new Promise((resolve) => child.on("exit", resolve));
  const connection = createProtocolConnection(new StreamMessageReader(child.stdout), new StreamMessageWriter(child.stdin));
  const reports = [];
  const states = [];
  connection.onNotification("runabout/completion", (it) => reports.push(it));
  let ready;
  const isReady = new Promise((resolve) => (ready = resolve));
  connection.onNotification("runabout/status", (it) => {
    states.push(it.state);
    if (it.state === "ready") ready();
  });
  handle(connection);
  connection.listen();
  const initialized = await connection.sendRequest(InitializeRequest.type, {
    processId: process.pid,
    rootUri: null,
    capabilities,
    clientInfo: { name: "conformance test" },
    workspaceFolders: folders,
    // Suggestions come whatever the model's confidence.
    initializationOptions: { notifications: true, ...options, settings: { minConfidence: 0, ...options.settings } },
  });
  await connection.sendNotification(InitializedNotification.type, {});
  return {
    connection, child, exited, initialized, reports, states, isReady,
    /** Ends the worker as an editor does, and returns its exit code. */
    async end() {
      await connection.sendRequest(ShutdownRequest.type);
      await connection.sendNotification(ExitNotification.type);
      const code = await exited;
      connection.dispose();
      return code;
    },
  };
}
