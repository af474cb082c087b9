// Bundles the extension, the script of its chat view and, with --tests, the unit tests into `out/`.

import { copyFileSync, readdirSync, rmSync } from "node:fs";
import { build } from "esbuild";

const node = { bundle: true, platform: "node", format: "cjs", target: "node20", legalComments: "none", logLevel: "warning" };

if (process.argv.includes("--tests")) {
  const tests = readdirSync("tests/units").filter((name) => name.endsWith(".test.ts"));
  await build({ ...node, entryPoints: tests.map((name) => `tests/units/${name}`), outdir: "out/tests" });
} else {
  rmSync("out", { recursive: true, force: true });
  await build({ ...node, entryPoints: ["src/main.ts"], outfile: "out/main.js", external: ["vscode"], minify: true });
  await build({
    bundle: true, platform: "browser", format: "iife", target: "es2022", minify: true, logLevel: "warning",
    entryPoints: ["src/chat/webview/chat.ts", "src/chat/webview/chat.css"], outdir: "out/chat",
  });
  for (const name of ["LICENSE-APACHE", "LICENSE-MIT"]) {
    copyFileSync(`../../${name}`, `out/${name}`);
  }
}
