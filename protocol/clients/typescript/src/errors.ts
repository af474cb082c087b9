// What can go wrong, all below `RunaboutError`.

import type { ChatResult } from "./protocol.js";

/** The base of all errors of this package. */
export class RunaboutError extends Error {
  override get name(): string {
    return this.constructor.name;
  }
}

/** There is no `runabout` to start. */
export class ProgramNotFound extends RunaboutError {}

/** The client was closed before the request was answered. */
export class ClientClosed extends RunaboutError {}

/** The worker ended before it answered. The next request starts another one, unless the client has `restart: false`. */
export class WorkerEnded extends RunaboutError {
  /** `exitCode` is null if a signal ended the worker; `log` are the last lines of its log. */
  constructor(
    readonly exitCode: number | null,
    readonly signal: string | null,
    readonly log: readonly string[],
  ) {
    const how = signal === null ? (exitCode === null ? "" : ` with exit code ${exitCode}`) : ` by ${signal}`;
    super([`the worker ended${how} before it answered`, ...log].join("\n"));
  }
}

/** There was no answer within the client's time limit; the request has been cancelled. */
export class RequestTimedOut extends RunaboutError {
  constructor(
    readonly method: string,
    readonly timeoutMs: number,
  ) {
    super(`\`${method}\` was not answered within ${timeoutMs} ms`);
  }
}

/** The signal of the request was aborted, or its stream was left; `cause` is the reason. */
export class RequestCancelled extends RunaboutError {
  constructor(cause: unknown) {
    super("the request was cancelled", { cause });
  }
}

/** The worker answered with an error: branch on `code`, or on `kind` for the worker's own errors. */
export class RequestFailed extends RunaboutError {
  /** The members of the error's `data`. */
  readonly data: Readonly<Record<string, unknown>>;
  /** What might help. */
  readonly hint: string | undefined;

  constructor(
    readonly code: number,
    message: string,
    data?: unknown,
  ) {
    const members = typeof data === "object" && data !== null ? (data as Record<string, unknown>) : {};
    const [text, ...rest] = message.split("\nhint: ");
    const hint = typeof members["hint"] === "string" ? members["hint"] : rest.join("\nhint: ") || undefined;
    super(hint === undefined ? text : `${text}\nhint: ${hint}`);
    this.data = members;
    this.hint = hint;
  }

  /** The kind of one of the worker's own errors, such as `prompt_too_long`; it may be one that is not known yet. */
  get kind(): string | undefined {
    return typeof this.data["kind"] === "string" ? this.data["kind"] : undefined;
  }
}

/** The answer was cut off before it had the form that was asked for; `result` is what there is of it. */
export class IncompleteAnswer extends RunaboutError {
  constructor(readonly result: ChatResult) {
    const { pointer, open } = result.incomplete ?? {};
    const inside = typeof pointer === "string" ? ` within the value at \`${pointer}\`, with \`${open}\` open` : "";
    super(`the answer is incomplete: it ended${inside}, with reason \`${result.finish_reason}\``);
  }
}
