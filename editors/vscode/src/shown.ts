// Follows one shown suggestion through the edits of its document, to tell what a person accepted of it.
// VS Code tells extensions of a full accept only, by the item's command; parts are seen by what is inserted.

/** One change of a document, as VS Code reports it. */
export interface Change {
  offset: number;
  removedLength: number;
  text: string;
}

export type Followed =
  /** A part was accepted; `acceptedLength` counts UTF-16 units of the whole suggestion so far. */
  | { kind: "accepted"; acceptedLength: number }
  /** The person typed what was suggested; it stays on the screen. */
  | { kind: "typed" }
  /** All of it is in the document now. */
  | { kind: "complete" }
  /** The document went another way. */
  | { kind: "gone" };

// The editor closes a bracket or quote that a person types, so two characters can come from one key.
const CLOSED_BY_THE_EDITOR = new Set(["()", "[]", "{}", "<>", '""', "''", "``"]);

export class Shown {
  private length = 0;

  constructor(
    private readonly offset: number,
    private readonly text: string,
  ) {}

  follow(changes: readonly Change[]): Followed {
    const [change] = changes;
    if (change === undefined) {
      return { kind: "typed" };
    }
    const rest = this.text.slice(this.length);
    if (changes.length > 1 || change.removedLength > 0 || change.offset !== this.offset + this.length || !rest.startsWith(change.text)) {
      return { kind: "gone" };
    }
    this.length += change.text.length;
    if (this.length === this.text.length) {
      return { kind: "complete" };
    }
    // One character at a time is typing. A part that is accepted may be that short too, such as a bracket;
    // it counts with the next part.
    if ([...change.text].length === 1 || CLOSED_BY_THE_EDITOR.has(change.text)) {
      return { kind: "typed" };
    }
    return { kind: "accepted", acceptedLength: this.length };
  }
}
