// Asks for a suggestion as soon as the model is ready, if the person typed before: those keystrokes got none.

import { window, workspace, type Disposable } from "vscode";
import { suggestsIn } from "./settings";
import type { Worker, WorkerState } from "./worker";

export class Early implements Disposable {
  private readonly subscriptions: Disposable[];
  private typed = false;

  constructor(worker: Worker, ask: () => void) {
    this.subscriptions = [
      workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        if (!isReady(worker.state) && contentChanges.length > 0 && document === window.activeTextEditor?.document) {
          this.typed = true;
        }
      }),
      window.onDidChangeActiveTextEditor(() => (this.typed = false)),
      worker.onDidChangeState((state) => {
        const language = window.activeTextEditor?.document.languageId;
        if (isReady(state) && this.typed && language !== undefined && suggestsIn(language)) {
          ask();
        }
        this.typed &&= !isReady(state);
      }),
    ];
  }

  dispose(): void {
    this.subscriptions.forEach((subscription) => subscription.dispose());
  }
}

function isReady(state: WorkerState): boolean {
  return state.kind === "running" && state.status.state === "ready";
}
