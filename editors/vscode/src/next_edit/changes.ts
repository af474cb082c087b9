// The next edit as places and texts, without VS Code: what is drawn of it, and where the cursor is afterwards.

import type { Position, TextEdit } from "vscode-languageserver-protocol";

/** The longest text that is drawn within a line. */
const MAX_DRAWN = 160;

/** Whether a line is among those that are changed. */
export function isNear(edits: readonly TextEdit[], line: number): boolean {
  const [first, last] = [edits[0], edits.at(-1)];
  return first !== undefined && last !== undefined && line >= first.range.start.line && line <= last.range.end.line;
}

/**
 * What an edit adds, as it is drawn within a line: VS Code lets no extension draw lines of its own between those of a
 * document, so line breaks are drawn as signs.
 */
export function drawn(text: string): string {
  const [line = "", ...more] = text.replace(/\r?\n|\r/g, "⏎\n").split("\n");
  // The indentation of a new line says little, and takes much room.
  const all = [line, ...more.map((it) => it.trim())].join(" ").trimEnd();
  return all.length > MAX_DRAWN ? `${all.slice(0, MAX_DRAWN)}…` : all;
}

/** The words for where it is, seen from the lines of the window that are visible; undefined if it is among them. */
export function placeInWords(line: number, visible: readonly { first: number; last: number }[]): string | undefined {
  if (visible.length === 0 || visible.some(({ first, last }) => line >= first && line <= last)) {
    return undefined;
  }
  const isAbove = visible.every(({ first }) => line < first);
  return `${isAbove ? "↑" : "↓"} next edit in line ${line + 1}`;
}

/** Where the last edit ends once all are applied. Counted from the end of the document, which they do not move. */
export function endOfLast(edits: readonly TextEdit[], before: Lines, after: Lines): Position {
  const end = edits.at(-1)?.range.end ?? { line: 0, character: 0 };
  const line = after.count - (before.count - Math.min(end.line, before.count - 1));
  const behind = Math.max(0, before.length(Math.min(end.line, before.count - 1)) - end.character);
  return { line, character: after.length(line) - behind };
}

/** The lines of a document. */
export interface Lines {
  count: number;
  length(line: number): number;
}
