// Draws what edits would do to a document: what goes is marked, and what comes stands beside it.

import { MarkdownString, Range, ThemeColor, window, type DecorationOptions, type Disposable, type TextEditor } from "vscode";
import type { TextEdit } from "vscode-languageserver-protocol";
import { drawn, placeInWords } from "./changes";

export class Preview implements Disposable {
  private readonly removed = window.createTextEditorDecorationType({
    backgroundColor: new ThemeColor("diffEditor.removedTextBackground"),
    textDecoration: "line-through",
  });
  private readonly added = window.createTextEditorDecorationType({
    after: { backgroundColor: new ThemeColor("diffEditor.insertedTextBackground"), color: new ThemeColor("editorGhostText.foreground"), fontStyle: "italic" },
  });
  private readonly place = window.createTextEditorDecorationType({
    after: { color: new ThemeColor("editorGhostText.foreground"), margin: "0 0 0 2em" },
  });

  /** Draws the edits in place of what was drawn before. */
  show(editor: TextEditor, edits: readonly TextEdit[]): void {
    const { languageId } = editor.document;
    const removed: Range[] = [];
    const added: DecorationOptions[] = [];
    for (const { range, newText } of edits) {
      const at = new Range(range.start.line, range.start.character, range.end.line, range.end.character);
      if (!at.isEmpty) {
        removed.push(at);
      }
      if (newText !== "") {
        added.push({
          range: new Range(at.end, at.end),
          renderOptions: { after: { contentText: drawn(newText) } },
          hoverMessage: new MarkdownString().appendCodeblock(newText, languageId),
        });
      }
    }
    editor.setDecorations(this.removed, removed);
    editor.setDecorations(this.added, added);
    const line = edits[0]?.range.start.line ?? 0;
    const place = placeInWords(line, editor.visibleRanges.map(({ start, end }) => ({ first: start.line, last: end.line })));
    const end = editor.document.lineAt(editor.selection.active.line).range.end;
    editor.setDecorations(this.place, place === undefined ? [] : [{ range: new Range(end, end), renderOptions: { after: { contentText: place } } }]);
  }

  clear(editor: TextEditor): void {
    for (const decoration of [this.removed, this.added, this.place]) {
      editor.setDecorations(decoration, []);
    }
  }

  dispose(): void {
    for (const decoration of [this.removed, this.added, this.place]) {
      decoration.dispose();
    }
  }
}
