// The turns of a conversation, and how the model gets to see them.

import type { ChatMessage } from "../protocol";
import type { ShownTurn } from "./messages";

/** A piece of a document that a question is about. */
export interface Excerpt {
  /** The path as a person knows it, relative to the workspace. */
  path: string;
  languageId: string;
  /** Counted from 1. */
  firstLine: number;
  lastLine: number;
  text: string;
}

export interface Turn {
  role: "user" | "assistant";
  text: string;
  about?: Excerpt;
  note?: string;
}

const INSTRUCTIONS = "You are a programming assistant in a code editor. Answer briefly. Put code into fenced code blocks. When asked to change code, answer with the whole changed code in one block.";

export function label({ path, firstLine, lastLine }: Excerpt): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return firstLine === lastLine ? `${name}:${firstLine}` : `${name}:${firstLine}-${lastLine}`;
}

export function shown({ role, text, about, note }: Turn): ShownTurn {
  return { role, text, ...(about === undefined ? {} : { about: label(about) }), ...(note === undefined ? {} : { note }) };
}

export function messages(turns: readonly Turn[]): ChatMessage[] {
  // A model's template wants question and answer in turn, so an answer without text is no turn, nor is its question.
  const answered = turns.filter((turn, i) => {
    const answer = turn.role === "assistant" ? turn : turns[i + 1];
    return answer === undefined || answer.text !== "";
  });
  return [{ role: "system", content: INSTRUCTIONS }, ...answered.map((turn): ChatMessage => ({ role: turn.role, content: content(turn) }))];
}

function content({ text, about }: Turn): string {
  if (about === undefined) {
    return text;
  }
  const fence = fenceAround(about.text);
  return `${about.path}, lines ${about.firstLine} to ${about.lastLine}:\n\n${fence}${about.languageId}\n${about.text.replace(/\n$/, "")}\n${fence}\n\n${text}`;
}

/** A fence that is longer than any in the text. */
function fenceAround(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`{3,}/g)].map(([run]) => run.length));
  return "`".repeat(longest + 1);
}
