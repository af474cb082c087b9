// Uses the extension as a person does, in the real editor with the real worker and model, and looks at the screen.
// What the model suggests is read from the screen, never expected here: the tests hold for every model.

import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { CodeServer } from "./code_server.mjs";
import { install } from "./install.mjs";
import { Window } from "./window.mjs";

const EXTENSION = fileURLToPath(new URL("../..", import.meta.url));
const FOLDER = join(process.env.RUNABOUT_EDITORS, "vscode");
const PICTURES = join(FOLDER, "pictures");
const IN_THE_README = ["ghost-text", "accepted-word", "chat"];
const WORKER = process.env.RUNABOUT;

// Of an answer the most likely text, so that each run gets the same one.
const SETTINGS = { "runabout.path": WORKER, "runabout.chatParameters": { temperature: 0 } };

const STATS = `def mean(values):
    """Return the arithmetic mean."""
    return sum(values) / len(values)


def median(values):
    """Return the middle value."""


print(mean([1, 2, 3]), median([1, 2, 3]))
`;
const LINE = 8;
const SHAPES = `def area(width, height):
    return width * height


def perimeter(width, height):
    return 2 * (width + height)
`;
const VOLUME = `${Array.from({ length: 40 }, (_, i) => `# Note ${i + 1}.\n`).join("")}def area(width, height):
    return width * height


def volume(width, height, depth):
`;
const FILES = { "volume.py": VOLUME, "stats.py": STATS, "shapes.py": SHAPES, "notes.py": "# The first ten prime numbers, as a list\nprimes = [2, 3, 5, 7, 11, \n" };

// The answer to this is still being written when it is stopped.
const LONG_QUESTION = "Explain at length, in many paragraphs, how a computer works.";

let browser;
let server;
let window;

before(async () => {
  const editor = install(FOLDER);
  rmSync(PICTURES, { recursive: true, force: true });
  mkdirSync(PICTURES, { recursive: true });
  const { chromium } = createRequire(join(FOLDER, "package.json"))("playwright-core");
  // Root, as in a container, cannot use chromium's sandbox; the pages are our own.
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
  server = await CodeServer.start({ editor, vsix: join(EXTENSION, "runabout.vsix"), settings: SETTINGS, files: FILES });
  window = await Window.open(browser, server, PICTURES);
});

after(async () => {
  await browser?.close();
  server?.keepLogs(join(FOLDER, "logs"));
  await server?.end();
  if (process.env.RUNABOUT_UPDATE === "1") {
    mkdirSync(join(EXTENSION, "images"), { recursive: true });
    for (const name of IN_THE_README) {
      copyFileSync(join(PICTURES, `${name}.png`), join(EXTENSION, "images", `${name}.png`));
    }
  }
});

afterEach(async (t) => {
  if (t.passed === false || t.error) {
    await window?.picture("failed");
  }
});

const ready = () => window.until("the worker to be ready", () => window.statusLabel(), (label) => label.includes("Model:"));

test("the status bar tells when the model is ready", async () => {
  await window.openFile("stats.py", LINE);
  await ready();
});

test("typing shows ghost text", async () => {
  await window.type("    ordered = ");
  const ghost = await window.ghostText();
  assert.notEqual(ghost.trim(), "");
  await window.pictureOfEditor("ghost-text");
});

test("a word is accepted, and the rest stays", async () => {
  const ghost = await window.ghostText();
  const line = server.read("stats.py").split("\n")[LINE - 1];
  await window.press("Control+ArrowRight");
  const text = await window.saved("stats.py", (now) => now.split("\n")[LINE - 1].length > line.length);
  const accepted = text.split("\n")[LINE - 1].slice(line.length);
  assert.ok(ghost.startsWith(accepted), `${accepted} is the beginning of ${ghost}`);
  assert.ok(accepted.length < ghost.length, "not all of it is accepted");
  await window.ghostText();
  await window.pictureOfEditor("accepted-word");
});

test("the tab key accepts all of it", async () => {
  const ghost = await window.ghostText();
  const line = server.read("stats.py").split("\n")[LINE - 1];
  await window.press("Tab");
  const text = await window.saved("stats.py", (now) => now.includes(line + ghost.split("\n")[0]));
  assert.ok(text.startsWith(STATS.split("\n").slice(0, LINE - 1).join("\n")), "what was before is unchanged");
  await window.pictureOfEditor("accepted-all");
});

test("the worker has counted what was shown and accepted", async () => {
  await window.command("Runabout: Show Statistics");
  const count = async (name) => {
    const row = window.page.locator(".quick-input-list .monaco-list-row", { hasText: new RegExp(`^${name}`) }).first();
    return Number(/\d+/.exec((await row.innerText()).trim())[0]);
  };
  assert.ok((await count("shown")) > 0);
  assert.ok((await count("accepted")) > 0);
  await window.press("Escape");
});

test("suggestions can be switched off and on for a language", async () => {
  await window.openFile("notes.py", 2);
  await window.command("Turn Suggestions On or Off for This Language");
  await window.until("the status bar to say so", () => window.statusLabel(), (label) => label.includes("are off"));
  // One that is asked for comes all the same.
  await window.goTo(2);
  await window.press("Alt+Backslash");
  await window.ghostText();
  await window.press("Escape");
  await window.command("Turn Suggestions On or Off for This Language");
  await window.until("the status bar to say so", () => window.statusLabel(), (label) => !label.includes("are off"));
});

test("the chat answers about the selection, and the answer is applied to it", async () => {
  await window.openFile("shapes.py", 1);
  await window.select(1, 2);
  await window.press("Control+Alt+Slash");
  // The key opens the view, with what is selected.
  await window.page.locator("iframe.webview.ready").waitFor();
  const chat = await window.chat();
  await chat.locator("#label", { hasText: "shapes.py:1-2" }).waitFor();
  await window.widenSideBar(480);
  const answer = await window.ask(chat, "Add a docstring of one line. Answer with the whole function in a code block.");
  await answer.locator(".waiting").waitFor();
  await chat.locator("#send", { hasText: "Ask" }).waitFor();
  const apply = chat.locator("figcaption button", { hasText: "Apply" });
  await apply.first().waitFor();
  await window.picture("chat", { x: 0, y: 0, width: 1000, height: 520 });
  const code = (await chat.locator("figure code").first().innerText()).trimEnd();
  await apply.first().click();
  // Applying leaves out white space at the ends of lines, which models like to write.
  const wanted = trimmedLines(`${code}\n${SHAPES.split("\n").slice(2).join("\n")}`);
  await window.saved("shapes.py", (now) => trimmedLines(now) === wanted);
  await window.pictureOfEditor("applied");
});

test("code of an answer is copied", async () => {
  const chat = await window.chat();
  const code = (await chat.locator("figure code").first().innerText()).trimEnd();
  await chat.locator("figcaption button", { hasText: "Copy" }).first().click();
  await window.until("the clipboard", () => window.clipboard(), (text) => text.trimEnd() === code);
});

test("an answer is stopped, and its text stays", async () => {
  const chat = await window.chat();
  await chat.locator("#without").click({ timeout: 1000 }).catch(() => {});
  const answer = await window.ask(chat, LONG_QUESTION);
  await window.until("some text", () => answer.innerText(), (text) => text.trim().length > 20);
  await chat.locator("#question").press("Escape");
  await chat.locator(".note", { hasText: "Stopped." }).waitFor();
  assert.ok((await answer.innerText()).replace("Stopped.", "").trim().length > 15);
});

test("the next edit is shown where it is, gone to, applied, and undone", async () => {
  await window.openFile("volume.py", 46);
  await window.type("    return ");
  const before = await window.saved("volume.py", (now) => now === `${VOLUME}    return `);
  await window.press("Escape");
  await window.goTo(1);
  await window.press("Alt+n");
  await window.until("the place of the edit", () => window.drawn(), ([text]) => text === "↓ next edit in line 46");
  await window.press("Alt+n");
  const [added] = await window.until("what is added", () => window.drawn(), ([text]) => text !== undefined && !text.includes("next edit"));
  assert.equal(server.read("volume.py"), before, "nothing is applied yet");
  await window.pictureOfEditor("next-edit");
  await window.press("Tab");
  // Line breaks are drawn as signs.
  const after = await window.saved("volume.py", (now) => now !== before);
  assert.ok(after.startsWith(before), after);
  assert.equal(after.slice(before.length).split(/\s+/).join(" ").trim(), added.replaceAll("⏎", "").split(/\s+/).join(" ").trim());
  await window.until("the preview to go", () => window.drawn(), (now) => now.length === 0);
  await window.press("Control+z");
  await window.saved("volume.py", (now) => now === before);
});

test("the next edit goes by escape, and when the text changes", async () => {
  await window.goTo(1);
  const place = (texts) => texts.some((text) => text.includes("next edit in line"));
  await window.press("Alt+n");
  await window.until("the place of the edit", () => window.drawn(), place);
  await window.press("Escape");
  await window.until("it to go", () => window.drawn(), (texts) => !place(texts));
  await window.press("Alt+n");
  await window.until("the place of the edit", () => window.drawn(), place);
  await window.type("!");
  await window.until("it to go", () => window.drawn(), (texts) => !place(texts));
  // The change follows the question at once, so the answer is for another text.
  await window.press("Alt+n");
  await window.page.keyboard.press("?");
  await window.saved("volume.py", (now) => now.startsWith("# Note 1.!?\n"));
  await window.page.waitForTimeout(2000);
  assert.deepEqual(await window.drawn(), []);
});

test("after kill -9 in mid-completion the editor goes on, the worker is back, and one message says so", async () => {
  const chat = await window.chat();
  const before = workers();
  assert.equal(before.length, 1);
  await window.openFile("notes.py", 2);
  const answer = await window.ask(chat, LONG_QUESTION);
  await window.until("some text", () => answer.innerText(), (text) => text.trim().length > 20);
  await window.focusEditor();
  await window.type("1");
  process.kill(before[0], "SIGKILL");
  await window.type("3, 17");
  await window.saved("notes.py", (now) => now.includes("[2, 3, 5, 7, 11, 13, 17"));
  await chat.locator(".note", { hasText: "ended before it had answered" }).waitFor();
  await window.messages.first().waitFor();
  await window.picture("crash");
  const [pid] = await window.until("the worker to be back", () => workers(), (now) => now.length === 1 && now[0] !== before[0]);
  await ready();
  assert.notEqual(pid, before[0]);
  await window.type(", ");
  await window.ghostText();
  const messages = await window.messages.allInnerTexts();
  assert.equal(messages.length, 1, messages.join("\n"));
  assert.match(messages[0], /SIGKILL.*started again/);
  await window.clearMessages();
});

test("a wrong path is named", async () => {
  server.configure({ ...SETTINGS, "runabout.path": "/nowhere/runabout" });
  await window.messages.filter({ hasText: "There is no program at /nowhere/runabout" }).waitFor();
  await window.until("the old worker to end", () => workers(), (now) => now.length === 0);
  await window.clearMessages();
});

test("a program that is absent is asked for, in plain words", async () => {
  server.configure({ ...SETTINGS, "runabout.path": "" });
  await window.messages.filter({ hasText: "needs its program, which was not found" }).waitFor();
  await window.picture("absent");
  await window.clearMessages();
});

test("a program that appears is found, and what was typed before it was ready gets a suggestion", async () => {
  await window.openFile("notes.py", 2);
  server.configure(SETTINGS);
  await window.until("the model to be loaded", () => window.statusLabel(), (label) => /Starting|Loading/.test(label));
  await window.type(" 19, ");
  await ready();
  await window.ghostText();
});

function trimmedLines(text) {
  return text.split("\n").map((line) => line.trimEnd()).join("\n");
}

/** The worker's processes in this editor, by the program that they run. */
function workers() {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && existsSync(`/proc/${name}/cmdline`))
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
        return command.includes(WORKER) && command.includes("lsp") && environment.includes(`HOME=${server.home}`);
      } catch {
        // It ended meanwhile.
        return false;
      }
    })
    .map(Number);
}
