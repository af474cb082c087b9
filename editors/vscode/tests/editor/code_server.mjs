// Starts code-server with the extension installed, a folder to open and settings of its own, and ends it.

import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

/** A quiet editor: nothing that moves by itself, asks questions, or looks things up elsewhere. */
const SETTINGS = {
  "chat.disableAIFeatures": true,
  "editor.fontFamily": "DejaVu Sans Mono",
  "editor.fontSize": 14,
  "editor.minimap.enabled": false,
  "editor.cursorBlinking": "solid",
  "editor.quickSuggestions": { other: "off" },
  "extensions.autoCheckUpdates": false,
  "extensions.ignoreRecommendations": true,
  "files.autoSave": "afterDelay",
  "files.autoSaveDelay": 100,
  "git.enabled": false,
  "security.workspace.trust.enabled": false,
  "telemetry.telemetryLevel": "off",
  "window.commandCenter": false,
  "workbench.colorTheme": "Default Dark Modern",
  "workbench.enableExperiments": false,
  "workbench.layoutControl.enabled": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
};

export class CodeServer {
  /** `settings` are added to the editor's own; `files` are the contents of the folder that is opened. */
  static async start({ editor, vsix, settings, files }) {
    const home = mkdtempSync(join(tmpdir(), "runabout-vscode-"));
    const server = new CodeServer(editor, home);
    const project = join(home, "project");
    mkdirSync(project);
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(project, name), text);
    }
    for (const level of ["User", "Machine"]) {
      mkdirSync(join(home, "data", level), { recursive: true });
    }
    server.configure(settings);
    const { status, stdout, stderr } = spawnSync(editor.node, [...server.arguments, "--install-extension", vsix], { env: server.env, encoding: "utf8" });
    if (status !== 0) {
      throw new Error(`code-server does not install the extension:\n${stdout}${stderr}`);
    }
    await server.listen();
    return server;
  }

  constructor(editor, home) {
    this.editor = editor;
    this.home = home;
    this.project = join(home, "project");
    // A home of its own: the tests must neither read the person's settings nor change them. Models stay where they are.
    const own = process.env.HOME;
    this.env = {
      ...process.env,
      HOME: home,
      PATH: process.env.PATH.split(delimiter).filter((folder) => !existsSync(join(folder, "runabout"))).join(delimiter),
      XDG_DATA_HOME: process.env.XDG_DATA_HOME ?? join(own, ".local", "share"),
      HF_HOME: process.env.HF_HOME ?? join(own, ".cache", "huggingface"),
    };
    const folders = ["--user-data-dir", join(home, "data"), "--extensions-dir", join(home, "extensions"), "--config", join(home, "config.yaml")];
    this.arguments = [editor.codeServer, ...folders];
    writeFileSync(join(home, "config.yaml"), "auth: none\n");
  }

  /** Settings about the worker's process belong to the machine that it runs on, which for a browser is another one. */
  configure(settings) {
    for (const [level, all] of Object.entries({ User: { ...SETTINGS, ...settings }, Machine: settings })) {
      writeFileSync(join(this.home, "data", level, "settings.json"), JSON.stringify(all, undefined, 2));
    }
  }

  async listen() {
    this.port = await freePort();
    const options = ["--bind-addr", `127.0.0.1:${this.port}`, "--disable-telemetry", "--disable-update-check", "--disable-workspace-trust"];
    // A group of its own, so that all its processes can be ended together.
    this.process = spawn(this.editor.node, [...this.arguments, ...options], { env: this.env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    await new Promise((resolve, reject) => {
      const read = (chunk) => {
        output += chunk;
        if (output.includes("HTTP server listening")) {
          resolve();
        }
      };
      this.process.stdout.on("data", read);
      this.process.stderr.on("data", read);
      this.process.once("exit", () => reject(new Error(`code-server ended:\n${output}`)));
    });
  }

  get url() {
    return `http://127.0.0.1:${this.port}/?folder=${encodeURIComponent(this.project)}`;
  }

  read(name) {
    return readFileSync(join(this.project, name), "utf8");
  }

  /** The extension's log. */
  log() {
    const logs = join(this.home, "data", "logs");
    return readdirSync(logs, { recursive: true })
      .filter((name) => name.endsWith("Runabout.log"))
      .map((name) => readFileSync(join(logs, name), "utf8"))
      .join("");
  }

  /** Keeps the editor's logs, for a person who looks into a failure. */
  keepLogs(folder) {
    cpSync(join(this.home, "data", "logs"), folder, { recursive: true });
  }

  async end() {
    if (this.process !== undefined && this.process.exitCode === null) {
      const ended = new Promise((resolve) => this.process.once("exit", resolve));
      process.kill(-this.process.pid, "SIGTERM");
      await ended;
    }
    rmSync(this.home, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
  }
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
