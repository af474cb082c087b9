// Puts the extension together: the worker, suggestions, the chat, the status bar, messages and commands.

import { commands, window, type ExtensionContext } from "vscode";
import { Chat } from "./chat/chat";
import { registerCommands } from "./commands";
import { Early } from "./early";
import { NextEdit } from "./next_edit/next_edit";
import { Notices } from "./notices";
import { Status } from "./status";
import { Suggestions } from "./suggestions";
import { Worker } from "./worker";

let worker: Worker | undefined;

export function activate(context: ExtensionContext): void {
  const log = window.createOutputChannel("Runabout", { log: true });
  const suggestions = new Suggestions(log);
  const started = new Worker(log, (client) => suggestions.middleware(client));
  worker = started;
  suggestions.report((method, params) => started.notify(method, params));
  const nextEdit = new NextEdit(started);
  suggestions.whenSilent((document) => nextEdit.silent(document));
  const status = new Status(started);
  context.subscriptions.push(
    log,
    suggestions,
    started,
    nextEdit,
    status,
    new Early(started, () => suggestions.askAgain()),
    new Notices(started),
    new Chat(context.extensionUri, started),
    ...registerCommands(context, started, status, log),
    started.onDidChangeState(({ kind }) => {
      if (kind === "running") {
        void commands.executeCommand("setContext", "runabout.found", true);
      }
    }),
    // The program may have been installed in the meantime.
    window.onDidChangeWindowState(({ focused }) => {
      if (focused) {
        void started.lookAgain();
      }
    }),
  );
  void started.restart();
}

export function deactivate(): Promise<void> | undefined {
  return worker?.stop();
}
