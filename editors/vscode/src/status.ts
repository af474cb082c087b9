// The status bar item: shows what the worker does, how fast, and why nothing was suggested.

import { MarkdownString, StatusBarAlignment, ThemeColor, window, workspace, type Disposable } from "vscode";
import type { CompletionParams } from "./protocol";
import { suggestsIn } from "./settings";
import { statusText } from "./status_text";
import type { Worker } from "./worker";
import { silenceInBrief } from "./words";

export class Status implements Disposable {
  private readonly item = window.createStatusBarItem("runabout.status", StatusBarAlignment.Right, 100);
  private readonly subscriptions: Disposable[];
  private last: CompletionParams | undefined;

  constructor(private readonly worker: Worker) {
    this.item.name = "Runabout";
    this.item.command = "runabout.menu";
    this.subscriptions = [
      worker.onDidChangeState(() => this.render()),
      worker.onCompletion((completion) => this.completed(completion)),
      window.onDidChangeActiveTextEditor(() => {
        this.last = undefined;
        this.render();
      }),
      workspace.onDidChangeConfiguration(() => this.render()),
    ];
    this.render();
    this.item.show();
  }

  /** The last completion that a person would care about, in the active editor. */
  get lastCompletion(): CompletionParams | undefined {
    return this.last;
  }

  dispose(): void {
    this.subscriptions.forEach((subscription) => subscription.dispose());
    this.item.dispose();
  }

  private completed(completion: CompletionParams): void {
    if (completion.outcome === "offered" || silenceInBrief(completion) !== undefined) {
      this.last = completion;
      this.render();
    }
  }

  private render(): void {
    const language = window.activeTextEditor?.document.languageId;
    const suggests = language === undefined ? undefined : suggestsIn(language);
    const { text, lines, severity } = statusText({ worker: this.worker.state, last: this.last, suggests });
    this.item.text = text;
    this.item.accessibilityInformation = { label: `Runabout: ${lines.join(" ")}` };
    const tooltip = new MarkdownString("**Runabout**\n\n");
    // As text: a model's name or an error may contain what Markdown would take as its own.
    lines.forEach((line) => tooltip.appendText(line).appendMarkdown("\n\n"));
    this.item.tooltip = tooltip;
    this.item.backgroundColor = severity === "none" ? undefined : new ThemeColor(`statusBarItem.${severity}Background`);
  }
}
