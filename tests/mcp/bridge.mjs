// Puts a server that speaks on stdin and stdout behind HTTP, for a test suite that speaks nothing else. A message of the
// client is a POST; the answer, and what the server says about it before, comes back as events of the same response. An
// error has the status that the protocol's HTTP binding gives it.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const STATUS = { [-32601]: 404, [-32602]: 400, [-32021]: 400, [-32022]: 400 };

/**
 * Starts the command and a bridge to it. `rewrite` changes a message of the client on its way. `close` ends both, and
 * resolves to the command's exit code.
 */
export async function bridge(command, args, rewrite = (message) => message) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  /** The responses that wait for a message with this id, as it is written in JSON. */
  const waiting = new Map();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const message = JSON.parse(line);
    const isAnswer = message.method === undefined;
    // Progress names its call by a token, which this suite's clients choose like the id.
    const key = JSON.stringify(isAnswer ? message.id : (message.params?.progressToken ?? null));
    const response = waiting.get(key) ?? waiting.values().next().value;
    if (response && !response.headersSent) {
      const headers = { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" };
      response.writeHead(STATUS[message.error?.code] ?? 200, headers);
    }
    response?.write(`event: message\ndata: ${line}\n\n`);
    if (isAnswer && waiting.delete(key)) response?.end();
  });
  const http = createServer(async (request, response) => {
    if (request.method !== "POST") return response.writeHead(405).end();
    let body = "";
    for await (const chunk of request) body += chunk;
    const message = rewrite(JSON.parse(body));
    if (message.id === undefined || message.method === undefined) {
      child.stdin.write(`${JSON.stringify(message)}\n`);
      return response.writeHead(202).end();
    }
    waiting.set(JSON.stringify(message.id), response);
    child.stdin.write(`${JSON.stringify(message)}\n`);
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  const url = `http://localhost:${http.address().port}/mcp`;
  return {
    url,
    async close() {
      http.closeAllConnections();
      http.close();
      child.stdin.end();
      return exited;
    },
  };
}
