// The agent with acpx, a client for terminals, and a real model.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";
import { command, folder } from "./agent.mjs";

const run = promisify(execFile);
const acpx = join(import.meta.dirname, "node_modules/acpx/dist/cli.js");
const agent = command.map((it) => (/[^\w./-]/.test(it) ? JSON.stringify(it) : it)).join(" ");

test("acpx has a question answered", async () => {
  const [home, cwd] = [folder(), folder()];
  const args = [acpx, "--agent", agent, "--cwd", cwd, "--approve-all", "--format", "quiet", "exec", "Reply with the word yes."];
  // Its own records are in the home folder.
  const env = { ...process.env, HOME: home };
  const { stdout } = await run(process.execPath, args, { env, cwd });
  assert.notEqual(stdout.trim(), "");
});
