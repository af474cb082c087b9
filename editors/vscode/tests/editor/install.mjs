// Installs code-server and playwright-core, pinned by the lock file beside this, into a folder of their own.

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
/** Written last, so an interrupted installation is done again. */
const DONE = "installed";

/** Returns the folder, the program Node that code-server needs, and its entry. */
export function install(folder) {
  mkdirSync(folder, { recursive: true });
  const node = join(folder, "node_modules", `node-linux-${process.arch}`, "bin", "node");
  const packages = join(folder, "node_modules", "code-server", "lib", "vscode");
  const editor = { folder, node, codeServer: join(folder, "node_modules", "code-server", "out", "node", "entry.js") };
  const lock = readFileSync(join(HERE, "package-lock.json"), "utf8");
  if (existsSync(join(folder, DONE)) && readFileSync(join(folder, DONE), "utf8") === lock) {
    return editor;
  }
  for (const name of ["package.json", "package-lock.json"]) {
    copyFileSync(join(HERE, name), join(folder, name));
  }
  // Without scripts: code-server's own would compile native modules that the tests do not need.
  npm(["ci"], folder);
  if (!existsSync(node)) {
    throw new Error(`there is no Node 24 for ${process.platform} ${process.arch} among the packages`);
  }
  const env = { ...process.env, PATH: `${join(node, "..")}${delimiter}${process.env.PATH}` };
  // As code-server installs itself; `npm ci` refuses its lock file, which has the packages of another build.
  npm(["install", "--omit=dev"], packages, env);
  npm(["install", "--omit=dev", "--no-save"], join(packages, "extensions"), env);
  const cli = join(packages, "bin", "remote-cli", "code-server");
  if (!existsSync(cli)) {
    symlinkSync("code-linux.sh", cli);
  }
  writeFileSync(join(folder, DONE), lock);
  return editor;
}

export function npm(args, cwd, env = process.env) {
  const { status } = spawnSync("npm", [...args, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd, env, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) {
    throw new Error(`npm ${args.join(" ")} failed in ${cwd}`);
  }
}
