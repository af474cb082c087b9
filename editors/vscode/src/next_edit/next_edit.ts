// The next edit: what the worker thinks will be changed next, which may be some lines away. It is shown where it is; the key
// that asked for it then goes there, and then applies it. It belongs to the version of the document that it was computed
// for, so any other change removes it, and nothing is applied to another version.

import { CancellationTokenSource, commands, Position, Range, Selection, TextEditorRevealType, window, workspace, type Disposable, type TextDocument, type TextEditor } from "vscode";
import type { TextEdit } from "vscode-languageserver-protocol";
import type { Info, NextEditResult } from "../protocol";
import { nextEditMode, suggestsIn } from "../settings";
import type { Worker } from "../worker";
import { noNextEditInWords } from "../words";
import { endOfLast, isNear, type Lines } from "./changes";
import { Preview } from "./preview";

const INVOKED = 1;
const AUTOMATIC = 2;
/** For so long nobody may type before an edit is asked for by itself: it takes the model's time from suggestions. */
const PAUSE_MS = 500;

interface Shown {
  editor: TextEditor;
  version: number;
  edits: TextEdit[];
}

export class NextEdit implements Disposable {
  private readonly preview = new Preview();
  private readonly subscriptions: Disposable[];
  private shown: Shown | undefined;
  private asked: CancellationTokenSource | undefined;
  /** Whether the person has made that request; to ask once more for the same text would only begin anew. */
  private invoked = false;
  private pause: NodeJS.Timeout | undefined;

  constructor(private readonly worker: Worker) {
    // None is named as a command of the worker, since the client registers those, and ends if it cannot.
    const register = (name: string, run: () => unknown) => commands.registerCommand(`runabout.nextEdit.${name}`, run);
    this.subscriptions = [
      this.preview,
      register("advance", () => this.advance()),
      register("accept", () => this.accept()),
      register("dismiss", () => this.dismiss()),
      workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        if (contentChanges.length > 0 && document === window.activeTextEditor?.document) {
          this.dismiss();
        }
      }),
      window.onDidChangeActiveTextEditor(() => this.dismiss()),
      window.onDidChangeTextEditorSelection(({ textEditor }) => this.draw(textEditor)),
      window.onDidChangeTextEditorVisibleRanges(({ textEditor }) => this.draw(textEditor)),
      worker.onDidChangeState(({ kind }) => {
        if (kind !== "running") {
          this.dismiss();
        }
      }),
    ];
  }

  dispose(): void {
    this.dismiss();
    this.subscriptions.forEach((subscription) => subscription.dispose());
  }

  /** A request that came by itself got no suggestion: asks when the person pauses, if that is wanted. */
  silent(document: TextDocument): void {
    clearTimeout(this.pause);
    const { version } = document;
    if (nextEditMode() === "automatic" && suggestsIn(document.languageId)) {
      this.pause = setTimeout(() => {
        if (document === window.activeTextEditor?.document && document.version === version && this.shown === undefined) {
          void this.ask(window.activeTextEditor, AUTOMATIC);
        }
      }, PAUSE_MS);
    }
  }

  private async advance(): Promise<void> {
    const editor = window.activeTextEditor;
    if (nextEditMode() === "off") {
      window.setStatusBarMessage("Runabout: next edits are switched off by the setting runabout.nextEdit", 5000);
    } else if (editor !== undefined && !(await this.accept()) && !(this.asked !== undefined && this.invoked)) {
      await this.ask(editor, INVOKED);
    }
  }

  /** Goes to the edit that is shown, or applies it if the cursor is there. */
  private async accept(): Promise<boolean> {
    const { shown } = this;
    if (shown === undefined || shown.editor !== window.activeTextEditor) {
      return false;
    }
    if (isNear(shown.edits, shown.editor.selection.active.line)) {
      await this.apply(shown);
    } else {
      this.jump(shown);
    }
    return true;
  }

  private dismiss(): void {
    this.asked?.cancel();
    this.asked = undefined;
    if (this.shown !== undefined) {
      this.preview.clear(this.shown.editor);
      this.shown = undefined;
      void commands.executeCommand("setContext", "runabout.nextEditVisible", false);
    }
  }

  private async ask(editor: TextEditor, triggerKind: number): Promise<void> {
    this.dismiss();
    const { document } = editor;
    const { version } = document;
    const asked = new CancellationTokenSource();
    this.asked = asked;
    this.invoked = triggerKind === INVOKED;
    const { line, character } = editor.selection.active;
    const argument = { textDocument: { uri: document.uri.toString(), version }, position: { line, character }, context: { triggerKind } };
    try {
      const params = { command: "runabout.nextEdit", arguments: [argument] };
      const result = await this.worker.request<NextEditResult | null>("workspace/executeCommand", params, asked.token);
      if (this.asked !== asked) {
        return;
      }
      this.asked = undefined;
      if (result !== null && result.edits.length > 0) {
        if (result.version === version && document.version === version && editor === window.activeTextEditor) {
          await this.show({ editor, version, edits: result.edits });
        }
      } else if (triggerKind === INVOKED) {
        const info = await this.worker.execute<Info>("runabout.info");
        window.setStatusBarMessage(`Runabout: ${noNextEditInWords(info)}`, 8000);
      }
    } catch (error) {
      if (this.asked === asked) {
        this.asked = undefined;
        if (triggerKind === INVOKED) {
          void window.showWarningMessage(error instanceof Error ? error.message : String(error));
        }
      }
    }
  }

  private async show(shown: Shown): Promise<void> {
    // Ghost text would stand in its way.
    await commands.executeCommand("editor.action.inlineSuggest.hide");
    if (shown.editor.document.version === shown.version) {
      this.shown = shown;
      this.draw(shown.editor);
      await commands.executeCommand("setContext", "runabout.nextEditVisible", true);
    }
  }

  private draw(editor: TextEditor): void {
    if (this.shown?.editor === editor) {
      this.preview.show(editor, this.shown.edits);
    }
  }

  private jump({ editor, edits }: Shown): void {
    const { line, character } = edits[0]?.range.start ?? editor.selection.active;
    const to = new Position(line, character);
    editor.selection = new Selection(to, to);
    editor.revealRange(new Range(to, to), TextEditorRevealType.InCenterIfOutsideViewport);
  }

  private async apply({ editor, version, edits }: Shown): Promise<void> {
    const { document } = editor;
    this.dismiss();
    if (document.version !== version) {
      window.setStatusBarMessage("Runabout: the text has changed since, so nothing was applied", 5000);
      return;
    }
    const before = linesOf(document);
    const applied = await editor.edit(
      (builder) => {
        for (const { range, newText } of edits) {
          builder.replace(new Range(range.start.line, range.start.character, range.end.line, range.end.character), newText);
        }
      },
      { undoStopBefore: true, undoStopAfter: true },
    );
    if (!applied) {
      window.setStatusBarMessage("Runabout: the edit could not be applied", 5000);
      return;
    }
    const { line, character } = endOfLast(edits, before, linesOf(document));
    editor.selection = new Selection(line, character, line, character);
    this.silent(document);
  }
}

/** The lines as they are now. */
function linesOf(document: TextDocument): Lines {
  const lengths = Array.from({ length: document.lineCount }, (_, line) => document.lineAt(line).text.length);
  return { count: lengths.length, length: (line) => lengths[line] ?? 0 };
}
