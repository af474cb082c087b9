// What the worker says beyond LSP: mirrors of the types on the worker's protocol pages, and nothing else.
// Members that the extension does not use are left out.

import type { InlineCompletionItem, Position, Range, TextEdit } from "vscode-languageserver-protocol";

/** The state of the model; `runabout/status` reports each change. */
export interface StatusParams {
  state: "downloading" | "loading" | "ready" | "failed";
  model?: string;
  message?: string;
  percentage?: number;
}

/** How one inline completion ended: the params of `runabout/completion`. */
export interface CompletionParams {
  uri: string;
  version?: number;
  outcome: "offered" | "nothing";
  /** Why nothing was offered, for programs. A client must accept reasons that it does not know. */
  reason?: string;
  /** The same in one plain sentence, for people. */
  message?: string;
  confidence?: number;
  firstTokenMs?: number;
  totalMs?: number;
  tokensPerSecond?: number;
  promptTokens?: number;
  cachedTokens?: number;
  completionTokens?: number;
}

/** The result of the command `runabout.info`. */
export interface Info {
  state: StatusParams["state"];
  model?: string;
  message?: string;
  device?: string;
  memoryBytes?: number;
  settings?: Record<string, unknown>;
  last?: CompletionParams | null;
  /** What became of the last request for the next edit. */
  nextEdit?: { outcome: "offered" | "nothing"; message?: string } | null;
}

/** The result of the command `runabout.nextEdit`. */
export interface NextEditResult {
  uri: string;
  version: number | null;
  edits: TextEdit[];
}

export interface InlineCompletionParams {
  textDocument: { uri: string };
  position: Position;
  context: { triggerKind: 1 | 2; selectedCompletionInfo?: { range: Range; text: string } };
}

export type InlineCompletionResult = { items: InlineCompletionItem[] } | InlineCompletionItem[] | null;

/** A message of the native method `chat`. */
export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface ChatResult {
  message: { role: "assistant"; content: string };
  finish_reason: string;
  usage?: { prompt_tokens: number; cached_tokens: number; completion_tokens: number };
  timing?: { first_token_ms: number; total_ms: number; generation_tokens_per_second?: number };
}

/** A piece of the text of the running native request `id`. */
export interface DeltaParams {
  id: number | string;
  seq: number;
  text: string;
}

/** The `data` of an error of a native method. */
export interface ErrorData {
  kind?: string;
  cause?: string;
  hint?: string;
}
