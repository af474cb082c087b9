// Says in plain words what the worker reports in codes: errors, exits, and reasons for silence.

import type { CompletionParams, ErrorData, Info } from "./protocol";

/** What a person can do about an error of a native method, such as `chat`. */
export function errorInWords(error: unknown): string {
  const { message, data } = (error ?? {}) as { message?: string; data?: ErrorData };
  const own = message?.trim() ?? String(error);
  switch (data?.kind) {
    case "model_load_failed":
      return `The model could not be loaded: ${data.cause ?? own}${data.hint === undefined ? "" : ` (${data.hint})`}`;
    case "prompt_too_long":
      return "This conversation is longer than the model can read. Start a new chat, or select less code.";
    case "overloaded":
      return "The worker has too much to do at the moment. Try again shortly.";
    case "out_of_memory":
      return "There is not enough memory for this. Select less code, or choose a smaller model.";
    case "unsupported":
      return `The model cannot do this: ${own}`;
    case "shutting_down":
      return "The worker is ending. Try again when it has started anew.";
    case "generation_failed":
      return `The model failed on this request: ${own}`;
    default:
      return own;
  }
}

/** Why there is no next edit. */
export function noNextEditInWords({ nextEdit }: Info): string {
  return nextEdit?.message ?? "There is no next edit here.";
}

/** One or two words for the status bar; undefined for reasons that a person does not care about. */
export function silenceInBrief(completion: CompletionParams): string | undefined {
  switch (completion.reason) {
    case "superseded":
    case "cancelled":
      return undefined;
    case "disabled":
      return "off";
    case "low_confidence":
      return "unsure";
    case "empty":
      return "nothing to add";
    case "loading":
      return "loading";
    case "overloaded":
      return "busy";
    case "too_long":
      return "too long";
    case "unknown_document":
      return "unknown file";
    case "failed":
      return "failed";
    default:
      return "nothing";
  }
}

/** The sentence for the same; the worker's own words where it sent them. */
export function silenceInWords(completion: CompletionParams): string {
  if (completion.message !== undefined && completion.message !== "") {
    return completion.message;
  }
  const brief = silenceInBrief(completion);
  return `Nothing was suggested${brief === undefined ? "" : `: ${brief}`}.`;
}

/** The worker's counts as pairs of words and value. Counts that this version does not know keep their own names. */
export function countsInWords(counts: Record<string, unknown>): [string, string][] {
  const { retained, retainedOf, shownToAcceptMs, ...others } = counts;
  const words: Record<string, string> = { partiallyAccepted: "accepted in part", acceptedCharacters: "accepted characters" };
  const rows = Object.entries(others).map(([name, value]): [string, string] => [words[name] ?? name, String(value)]);
  if (typeof retained === "number" && typeof retainedOf === "number") {
    rows.push(["unchanged after 30 seconds", `${retained} of ${retainedOf} accepted ones`]);
  }
  if (typeof shownToAcceptMs === "number") {
    rows.push(["from showing to accepting, usually", `${(shownToAcceptMs / 1000).toFixed(1)} s`]);
  }
  return rows;
}

export interface Exit {
  code: number | null;
  signal: string | null;
  /** The last lines that the worker wrote to its log. */
  log: string[];
}

/** Whether starting the same program again with the same arguments cannot help. */
export function isFinal(exit: Exit): boolean {
  // 2 is for the command line, 1 for a worker that could not start; a crash has other codes or a signal.
  return exit.code === 1 || exit.code === 2;
}

export function exitInWords(exit: Exit): string {
  const log = exit.log.join("\n");
  const lines = exit.log.map((line) => line.trim()).filter((line) => line !== "");
  const error = (lines.find((line) => line.startsWith("error: ")) ?? lines.at(-1))?.replace(/^error: /, "");
  if (exit.code === 2 && /unrecognized subcommand 'lsp'/.test(log)) {
    return "This version of runabout is too old for the extension: it has no command `lsp`.";
  }
  if (exit.code === 2) {
    return `Runabout does not accept its options (settings runabout.model and runabout.arguments): ${error ?? "see the log"}`;
  }
  if (exit.code === 1) {
    return `Runabout could not start: ${error ?? "see the log"}`;
  }
  if (exit.code === 70) {
    return "Runabout's engine failed.";
  }
  if (exit.signal !== null) {
    return `Runabout was ended by signal ${exit.signal}.`;
  }
  return exit.code === null ? "Runabout ended unexpectedly." : `Runabout ended unexpectedly with code ${exit.code}.`;
}
