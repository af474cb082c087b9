// The commands of the palette and the status bar's menu, except those of the chat.

import { commands, window, type Disposable, type ExtensionContext, type LogOutputChannel } from "vscode";
import type { Info } from "./protocol";
import { choosePath, suggestsIn, toggle, toggleLanguage } from "./settings";
import { clearStatistics, showStatistics } from "./statistics";
import type { Status } from "./status";
import type { Worker } from "./worker";
import { silenceInWords } from "./words";

export function registerCommands(context: ExtensionContext, worker: Worker, status: Status, log: LogOutputChannel): Disposable[] {
  const register = (name: string, run: () => unknown) => commands.registerCommand(`runabout.${name}`, run);
  return [
    register("menu", () => menu()),
    register("toggle", async () => said(await toggle(), "Suggestions")),
    register("toggleLanguage", async () => {
      const language = window.activeTextEditor?.document.languageId;
      if (language !== undefined) {
        said(await toggleLanguage(language), `Suggestions for ${language}`);
      }
    }),
    register("suggest", () => commands.executeCommand("editor.action.inlineSuggest.trigger")),
    register("why", () => why(worker, status)),
    register("showStatistics", () => tried(() => showStatistics(worker))),
    register("clearStatistics", () => tried(() => clearStatistics(worker))),
    register("showLog", () => log.show()),
    register("restart", () => worker.restart()),
    register("choosePath", async () => {
      const [file] = (await window.showOpenDialog({ title: "The program runabout", openLabel: "Use This Program" })) ?? [];
      if (file !== undefined) {
        await choosePath(file.fsPath);
      }
    }),
    register("walkthrough", () => commands.executeCommand("workbench.action.openWalkthrough", `${context.extension.id}#start`, false)),
  ];
}

function said(on: boolean, what: string): void {
  window.setStatusBarMessage(`Runabout: ${what} ${on ? "on" : "off"}`, 3000);
}

/** Runs something that needs the worker, and says so if it cannot. */
async function tried(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    void window.showWarningMessage(error instanceof Error ? error.message : String(error));
  }
}

async function menu(): Promise<void> {
  const language = window.activeTextEditor?.document.languageId;
  const entries: [string, string][] = [
    ["$(question) Why was nothing suggested?", "why"],
    ["$(edit) Next edit", "nextEdit.advance"],
    ["$(comment-discussion) Chat about the selection", "chat.ask"],
    ["$(power) Turn suggestions on or off", "toggle"],
    ...(language === undefined ? [] : [[`$(${suggestsIn(language) ? "circle-slash" : "check"}) Turn suggestions ${suggestsIn(language) ? "off" : "on"} for ${language}`, "toggleLanguage"] as [string, string]]),
    ["$(graph) Statistics", "showStatistics"],
    ["$(output) Log", "showLog"],
    ["$(debug-restart) Restart the worker", "restart"],
    ["$(rocket) Get started", "walkthrough"],
  ];
  const chosen = await window.showQuickPick(entries.map(([label, command]) => ({ label, command })), { title: "Runabout" });
  if (chosen !== undefined) {
    await commands.executeCommand(`runabout.${chosen.command}`);
  }
}

async function why(worker: Worker, status: Status): Promise<void> {
  await tried(async () => {
    const info = await worker.execute<Info>("runabout.info");
    const last = status.lastCompletion ?? info.last ?? undefined;
    const language = window.activeTextEditor?.document.languageId;
    const sentence =
      info.state !== "ready"
        ? `The model is not ready. ${info.message ?? ""}`.trim()
        : language !== undefined && !suggestsIn(language)
          ? `Suggestions while you type are off for ${language}.`
          : last === undefined
            ? "No suggestion has been asked for yet."
            : last.outcome === "offered"
              ? "The last request did get a suggestion."
              : silenceInWords(last);
    void window.showInformationMessage(sentence);
  });
}
