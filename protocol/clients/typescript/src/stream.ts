// A request whose text arrives piece by piece.

import type { CancelResult, DeltaParams } from "./protocol.js";

/** Iterate over the deltas, then ask for the result. Leaving the loop early cancels the request. */
export interface Stream<Result> extends AsyncIterableIterator<DeltaParams>, AsyncDisposable {
  /** The result, whether or not the deltas are read. */
  readonly result: Promise<Result>;
  /** Stops the request at the worker; its result is then the text so far. */
  cancel(): Promise<CancelResult>;
  /** Cancels the request unless it has ended, and does not wait for it; the result then fails. */
  return(): Promise<IteratorResult<DeltaParams>>;
  [Symbol.asyncIterator](): Stream<Result>;
}

/** How a stream's request is run. */
export interface Started<Result> {
  result: Promise<Result>;
  cancel(): Promise<CancelResult>;
  abandon(): void;
}

export class DeltaStream<Result> implements Stream<Result> {
  readonly result: Promise<Result>;
  readonly #deltas: DeltaParams[] = [];
  readonly #started: Started<Result>;
  #hasEnded = false;
  #failure: { error: unknown } | undefined;
  #wake: () => void = () => {};

  constructor(start: (onDelta: (delta: DeltaParams) => void) => Started<Result>) {
    this.#started = start((delta) => {
      this.#deltas.push(delta);
      this.#wake();
    });
    this.result = this.#started.result;
    this.result.then(
      () => this.#end(undefined),
      (error: unknown) => this.#end({ error }),
    );
  }

  cancel(): Promise<CancelResult> {
    return this.#started.cancel();
  }

  async next(): Promise<IteratorResult<DeltaParams>> {
    for (;;) {
      const delta = this.#deltas.shift();
      if (delta !== undefined) return { done: false, value: delta };
      if (this.#hasEnded) break;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<DeltaParams>> {
    this.#started.abandon();
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #end(failure: { error: unknown } | undefined): void {
    this.#hasEnded = true;
    this.#failure = failure;
    this.#wake();
  }
}
