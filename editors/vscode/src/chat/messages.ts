// What the extension and the page of the chat view tell each other.

/** A turn of the conversation as the page shows it. */
export interface ShownTurn {
  role: "user" | "assistant";
  text: string;
  /** The code that the question is about, such as `stats.py:3-8`. */
  about?: string;
  /** Why the answer ends where it does, in plain words, if not by itself. */
  note?: string;
}

export type ToPage =
  /** Everything; sent when the page is there anew, and after each turn. */
  | { kind: "conversation"; turns: ShownTurn[]; running: boolean }
  /** More text of the last turn. */
  | { kind: "delta"; text: string }
  /** The selection that the next question will be about. */
  | { kind: "selection"; label: string | undefined }
  | { kind: "focus" };

export type FromPage =
  | { kind: "ready" }
  | { kind: "ask"; question: string; withSelection: boolean }
  | { kind: "stop" }
  | { kind: "copy"; text: string }
  /** Puts a block of code of turn `turn` in the place of the code that was asked about. */
  | { kind: "apply"; turn: number; code: string };
