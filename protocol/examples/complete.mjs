#!/usr/bin/env node
// Completes code with a local model and prints the text as it is generated.
//
//     complete.mjs [PREFIX [SUFFIX]]
//
// The environment variable RUNABOUT names the program, RUNABOUT_MODEL the model. Requires only Node 18.

import { spawn } from "node:child_process";

const PREFIX = `\
def fibonacci(n):
    """Return the first n Fibonacci numbers."""
    `;
const SUFFIX = `

print(fibonacci(10))
`;
const [prefix = PREFIX, suffix = SUFFIX] = process.argv.slice(2);

const worker = spawn(process.env.RUNABOUT ?? "runabout", ["serve"], { stdio: ["pipe", "pipe", "inherit"] });

function send(message) {
  worker.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
}

async function* messages() {
  let rest = "";
  // Messages end at \n alone; node:readline would also split at other characters, such as U+2028.
  for await (const chunk of worker.stdout.setEncoding("utf8")) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    yield* lines.map((line) => JSON.parse(line));
  }
}

// The text ends at the first blank line.
send({ id: 1, method: "complete", params: { prefix, suffix, stop: ["\n\n"], max_tokens: 64 } });
process.exitCode = 1;
for await (const message of messages()) {
  if (message.method === "delta") {
    process.stdout.write(message.params.text);
  } else if (message.id === 1) {
    process.stdout.write("\n");
    if (message.error) console.error(message.error.message);
    else process.exitCode = 0;
    worker.stdin.end(); // Closing its input ends the worker.
  }
}
