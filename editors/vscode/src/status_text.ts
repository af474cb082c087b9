// What the status bar says, as pure functions of the state: a short text and the lines of its tooltip.

import type { CompletionParams } from "./protocol";
import { silenceInBrief, silenceInWords } from "./words";
import type { WorkerState } from "./worker";

export interface StatusInput {
  worker: WorkerState;
  /** The last completion that a person would care about. */
  last: CompletionParams | undefined;
  /** Whether suggestions are on in the active editor's language; undefined without an editor. */
  suggests: boolean | undefined;
}

export interface StatusText {
  text: string;
  lines: string[];
  severity: "none" | "warning" | "error";
}

export function statusText({ worker, last, suggests }: StatusInput): StatusText {
  switch (worker.kind) {
    case "absent":
      return { text: "$(warning) Runabout", lines: ["The program `runabout` was not found."], severity: "warning" };
    case "starting":
      return { text: "$(loading~spin) Runabout", lines: ["Starting."], severity: "none" };
    case "restarting":
      return { text: "$(loading~spin) Runabout", lines: ["Starting again after a crash."], severity: "none" };
    case "stopped":
      return { text: "$(error) Runabout", lines: [worker.message], severity: "error" };
    case "running":
      break;
  }
  const { state, model, message, percentage } = worker.status;
  const name = model ?? "the model";
  const percent = percentage === undefined ? "" : ` ${Math.floor(percentage)} %`;
  switch (state) {
    case "downloading":
      return { text: `$(cloud-download) Runabout${percent}`, lines: [`Downloading ${name}${percent === "" ? "" : `:${percent}`}.`], severity: "none" };
    case "loading":
      return { text: `$(loading~spin) Runabout${percent}`, lines: [`Loading ${name}.`], severity: "none" };
    case "failed":
      return { text: "$(error) Runabout", lines: [`The model could not be loaded: ${message ?? name}`], severity: "error" };
    case "ready":
      return { ...ready(last, suggests), severity: "none", lines: [`Model: ${name}`, ...completionLines(last), ...offLine(suggests)] };
  }
}

function ready(last: CompletionParams | undefined, suggests: boolean | undefined): { text: string } {
  if (suggests === false) {
    return { text: "$(circle-slash) Runabout" };
  }
  if (last === undefined) {
    return { text: "$(sparkle) Runabout" };
  }
  if (last.outcome === "offered") {
    return { text: `$(sparkle) ${rate(last) ?? "Runabout"}` };
  }
  return { text: `$(dash) ${silenceInBrief(last) ?? "Runabout"}` };
}

function offLine(suggests: boolean | undefined): string[] {
  return suggests === false ? ["Suggestions while you type are off in this language."] : [];
}

function rate({ tokensPerSecond }: CompletionParams): string | undefined {
  return tokensPerSecond === undefined ? undefined : `${Math.round(tokensPerSecond)} tok/s`;
}

function completionLines(last: CompletionParams | undefined): string[] {
  if (last === undefined) {
    return [];
  }
  const lines = last.outcome === "offered" ? [] : [silenceInWords(last)];
  const facts = [
    last.firstTokenMs === undefined ? undefined : `first token after ${Math.round(last.firstTokenMs)} ms`,
    last.totalMs === undefined ? undefined : `all after ${Math.round(last.totalMs)} ms`,
    last.completionTokens === undefined ? undefined : `${last.completionTokens} tokens generated`,
    rate(last),
    last.promptTokens === undefined ? undefined : `prompt of ${last.promptTokens} tokens, ${last.cachedTokens ?? 0} from the cache`,
    last.confidence === undefined ? undefined : `confidence ${last.confidence.toFixed(2)}`,
  ].filter((fact) => fact !== undefined);
  return facts.length === 0 ? lines : [...lines, `Last suggestion: ${facts.join(", ")}`];
}
