// The code that a question is about: taken from the active editor, and found again when an answer is applied.

import { Position, Range, Uri, WorkspaceEdit, window, workspace, type TextDocument, type TextEditor } from "vscode";
import type { Excerpt } from "./conversation";
import { fit } from "./fit";

/** An excerpt with its place. */
export interface Place {
  excerpt: Excerpt;
  uri: Uri;
  range: Range;
}

/** The active editor's selection: exactly if it is within a line, else the whole lines that it touches. */
export function selected(editor: TextEditor | undefined): Place | undefined {
  if (editor === undefined || editor.selection.isEmpty) {
    return undefined;
  }
  const { document, selection } = editor;
  const range = selection.isSingleLine ? selection : wholeLines(document, selection);
  if (range.isEmpty) {
    return undefined;
  }
  const lastLine = range.end.character === 0 ? range.end.line : range.end.line + 1;
  const excerpt: Excerpt = {
    path: workspace.asRelativePath(document.uri),
    languageId: document.languageId,
    firstLine: range.start.line + 1,
    lastLine,
    text: unixLines(document.getText(range)),
  };
  return { excerpt, uri: document.uri, range };
}

function wholeLines(document: TextDocument, { start, end }: Range): Range {
  // A selection that begins behind the last character of a line means the next line.
  const first = start.character > 0 && start.character === document.lineAt(start.line).text.length ? start.line + 1 : start.line;
  const last = end.character === 0 ? end : document.lineAt(end.line).range.end;
  return new Range(new Position(first, 0), last);
}

/** Replaces the code of `place` by `code`; returns what is in the way, if anything is. */
export async function apply(code: string, place: Place): Promise<string | undefined> {
  const document = await workspace.openTextDocument(place.uri);
  const range = find(document, place);
  if (range === undefined) {
    return "The code that the question was about has changed since. Copy the answer instead.";
  }
  const edit = new WorkspaceEdit();
  edit.replace(place.uri, range, fit(code, place.excerpt.text));
  if (!(await workspace.applyEdit(edit))) {
    return "The editor did not accept the change.";
  }
  await window.showTextDocument(document, { preserveFocus: false });
  return undefined;
}

/** Inserts `code` at the cursor of the active editor. */
export async function insert(code: string): Promise<string | undefined> {
  const editor = window.activeTextEditor;
  if (editor === undefined) {
    return "There is no open file to insert the code into.";
  }
  return (await editor.edit((edit) => edit.replace(editor.selection, code))) ? undefined : "The editor did not accept the change.";
}

/** Where the code is now: where it was, or at the one place to which edits have moved it. */
function find(document: TextDocument, { range, excerpt: { text } }: Place): Range | undefined {
  if (unixLines(document.getText(range)) === text) {
    return range;
  }
  const all = document.getText();
  const wanted = all.includes("\r\n") ? text.replaceAll("\n", "\r\n") : text;
  const at = all.indexOf(wanted);
  if (at === -1 || all.indexOf(wanted, at + 1) !== -1) {
    return undefined;
  }
  return new Range(document.positionAt(at), document.positionAt(at + wanted.length));
}

function unixLines(text: string): string {
  return text.replaceAll("\r\n", "\n");
}
