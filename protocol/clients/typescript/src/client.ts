// The client: a worker process, its requests, and a new process when one has ended.

import { setTimeout as sleep } from "node:timers/promises";

import { ClientClosed, IncompleteAnswer, RequestCancelled, RequestFailed, RequestTimedOut, WorkerEnded } from "./errors.js";
import { Limit } from "./limit.js";
import { findProgram, serveArguments } from "./program.js";
import type {
  CancelResult,
  ChatParams,
  ChatResult,
  CompleteParams,
  CompleteResult,
  DeltaParams,
  InitializeResult,
  Message,
  ModelSummary,
  NextEditParams,
  NextEditResult,
  ProgressParams,
  StatusResult,
  TokenizeParams,
  TokenizeResult,
  WarmParams,
  WarmResult,
} from "./protocol.js";
import { DeltaStream, type Stream } from "./stream.js";
import { type Listener, Worker } from "./worker.js";

const PROTOCOL_VERSION = 1;
const LOAD_FAILED = 1001;
/** The first restart is immediate; each one after a worker that answered nothing waits twice as long as the one before. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 30_000;
const GENERATES = new Set(["complete", "chat", "next_edit"]);

export interface ClientSettings {
  /** A named model, a folder or a file; by default that of the program. */
  model?: string;
  /** The path of the program; see `findProgram`. */
  program?: string;
  /** Options of `runabout serve`: `{ kv_bits: 8, offline: true }` is `--kv-bits=8 --offline`. */
  options?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Environment variables of the worker, beside those of this process. */
  env?: Readonly<Record<string, string>>;
  /** The default time limit of a request. */
  timeoutMs?: number;
  /** Whether a request starts another worker if it has ended; true by default. */
  restart?: boolean;
  /** Told of each notification, except for the deltas. */
  onNotification?: (method: string, params: unknown) => void;
  /** Told of each line of the worker's log. */
  onLog?: (line: string) => void;
  /** How this client calls itself. */
  name?: string;
}

export interface RequestOptions {
  /** The time limit; the request is then cancelled at the worker. */
  timeoutMs?: number;
  /** Cancels the request when it is aborted. */
  signal?: AbortSignal;
  /** Told of each piece of the text. */
  onDelta?: (delta: DeltaParams) => void;
  /** Parameters that this version does not know. */
  extra?: Readonly<Record<string, unknown>>;
}

/** A conversation; a string is a conversation of one message of the user. */
export type Messages = string | Message[];

/** Whoever is told of notifications. A worker holds this, and so it does not hold the client. */
class Events implements Listener {
  readonly watchers = new Set<(method: string, params: unknown) => void>();

  constructor(private readonly settings: ClientSettings) {}

  notified(method: string, params: unknown): void {
    for (const watcher of [...this.watchers]) watcher(method, params);
    this.settings.onNotification?.(method, params);
  }

  logged(line: string): void {
    this.settings.onLog?.(line);
  }
}

/** Ends the workers of clients that were dropped. */
const abandoned = new FinalizationRegistry<Worker>((worker) => worker.closeInput());

/** A worker process and its requests. The process is started by the first request, or by `start`. */
export class Client {
  readonly #settings: ClientSettings;
  readonly #events: Events;
  #worker: Worker | undefined;
  #starting: Promise<{ worker: Worker; info: InitializeResult }> | undefined;
  #limit: Limit | undefined;
  #isClosed = false;
  #nFailures = 0;

  constructor(settings: ClientSettings = {}) {
    this.#settings = settings;
    this.#events = new Events(settings);
  }

  /** Starts the worker unless it runs, and returns what it says of itself. It then loads its model. */
  async start(): Promise<InitializeResult> {
    return (await this.#started()).info;
  }

  /**
   * Waits until the model is loaded, and returns what is known of it; `onProgress` is told of the load.
   *
   * There is no need to wait: requests that need the model do it by themselves.
   */
  async waitUntilReady(
    options: Omit<RequestOptions, "onDelta" | "extra"> & { onProgress?: (progress: ProgressParams) => void } = {},
  ): Promise<ModelSummary> {
    return this.#limited("waitUntilReady", options, async (signal) => {
      const { worker } = await this.#started();
      let wake = (): void => {};
      const watcher = (method: string, params: unknown): void => {
        if (method === "status") wake();
        const progress = params as ProgressParams;
        if (method === "progress" && progress.stage !== "prefill") options.onProgress?.(progress);
      };
      this.#events.watchers.add(watcher);
      const unwatch = worker.watch();
      try {
        for (;;) {
          const changed = new Promise<void>((resolve) => (wake = resolve));
          const status = (await worker.request("status", {}).answer) as StatusResult;
          if (status.state === "ready") return status.model;
          if (status.state === "failed") {
            const error = status.error as { cause?: string } | undefined;
            throw new RequestFailed(LOAD_FAILED, `the model could not be loaded: ${error?.cause}`, error);
          }
          await Promise.race([changed, worker.end, aborted(signal)]);
        }
      } finally {
        this.#events.watchers.delete(watcher);
        unwatch();
      }
    });
  }

  /** The process id of the worker, if one was started. */
  get pid(): number | undefined {
    return this.#worker?.pid;
  }

  /** Ends the worker; running requests fail or are answered with their text so far. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#worker?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Generates the text at a cursor, between `prefix` and `suffix`. */
  complete(params: CompleteParams, options: RequestOptions = {}): Promise<CompleteResult> {
    return this.#call("complete", { stream: options.onDelta !== undefined, ...params }, options);
  }

  /** The same, piece by piece. */
  completeStream(params: CompleteParams, options: RequestOptions = {}): Stream<CompleteResult> {
    return this.#stream("complete", params, options);
  }

  /** Generates the assistant's next turn. */
  chat(params: WithMessages<ChatParams>, options: RequestOptions = {}): Promise<ChatResult> {
    return this.#call("chat", { stream: options.onDelta !== undefined, ...conversation(params) }, options);
  }

  /** The same, piece by piece. */
  chatStream(params: WithMessages<ChatParams>, options: RequestOptions = {}): Stream<ChatResult> {
    return this.#stream("chat", conversation(params), options);
  }

  /**
   * The parsed value of an answer that is valid by a JSON Schema. The model does not see the schema: the messages should
   * ask for it too.
   */
  async chatJson(params: WithMessages<ChatParams>, schema: object, options: RequestOptions = {}): Promise<unknown> {
    const result = await this.chat({ ...params, response_format: { type: "json_schema", schema } }, options);
    return parsed(result, result.message.content);
  }

  /** Predicts what a person changes next near a cursor. */
  nextEdit(params: NextEditParams, options: Omit<RequestOptions, "onDelta"> = {}): Promise<NextEditResult> {
    return this.#call("next_edit", params, options);
  }

  /** Computes the prompt of a later `complete` or `chat`, so that it starts fast. */
  warm(params: WarmParams, options: Omit<RequestOptions, "onDelta"> = {}): Promise<WarmResult> {
    return this.#call("warm", params, options);
  }

  /** Counts the tokens of a text, or of messages as `chat` would render them. */
  tokenize(params: TokenizeParams, options: Omit<RequestOptions, "onDelta"> = {}): Promise<TokenizeResult> {
    return this.#call("tokenize", params, options);
  }

  /** The state of the worker. */
  status(options: Omit<RequestOptions, "onDelta" | "extra"> = {}): Promise<StatusResult> {
    return this.#call("status", {}, options);
  }

  /** Any request, also of a method that this version does not know. */
  request(method: string, params: object = {}, options: RequestOptions = {}): Promise<unknown> {
    return this.#call(method, params, options);
  }

  #stream<Result>(method: string, params: object, options: RequestOptions): Stream<Result> {
    return new DeltaStream<Result>((push) => {
      const abandon = new AbortController();
      let onSent = (_cancel: () => Promise<CancelResult>): void => {};
      const sent = new Promise<() => Promise<CancelResult>>((resolve) => (onSent = resolve));
      const onDelta = (delta: DeltaParams): void => {
        push(delta);
        options.onDelta?.(delta);
      };
      const signal = options.signal ? AbortSignal.any([options.signal, abandon.signal]) : abandon.signal;
      const result = this.#call<Result>(method, params, { ...options, onDelta, signal }, onSent);
      result.catch(() => {}); // Not an error of Node if nobody asks for the result.
      const ended = result.then(
        () => undefined,
        () => undefined,
      );
      return {
        result,
        cancel: async () => {
          const cancel = await Promise.race([sent, ended]);
          return cancel === undefined ? { outcome: "finished", completion_tokens: 0 } : cancel();
        },
        abandon: () => abandon.abort(),
      };
    });
  }

  #call<Result>(
    method: string,
    params: object,
    options: RequestOptions,
    onSent?: (cancel: () => Promise<CancelResult>) => void,
  ): Promise<Result> {
    const all: Record<string, unknown> = { ...params, ...options.extra };
    return this.#limited(method, options, async (signal) => {
      let { worker } = await Promise.race([this.#started(), aborted(signal)]);
      if (!GENERATES.has(method)) return (await this.#send(worker, method, all, signal)) as Result;
      const n = all["n"];
      const giveBack = await this.#limit!.take(typeof n === "number" ? n : 1, signal);
      try {
        // It may have ended while this request waited.
        ({ worker } = await Promise.race([this.#started(), aborted(signal)]));
        return (await this.#send(worker, method, all, signal, options.onDelta, onSent)) as Result;
      } finally {
        giveBack();
      }
    });
  }

  async #send(
    worker: Worker,
    method: string,
    params: object,
    signal: AbortSignal,
    onDelta?: (delta: DeltaParams) => void,
    onSent?: (cancel: () => Promise<CancelResult>) => void,
  ): Promise<unknown> {
    signal.throwIfAborted();
    const { id, answer } = worker.request(method, params, onDelta);
    onSent?.(async () => (await worker.request("cancel", { id }).answer) as CancelResult);
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        worker.cancel(id);
        worker.forget(id);
        reject(signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
      answer.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    });
  }

  /** Runs `work` with a signal that is aborted at the time limit, or when the caller's is. */
  async #limited<Result>(
    method: string,
    options: Pick<RequestOptions, "timeoutMs" | "signal">,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const limitMs = options.timeoutMs ?? this.#settings.timeoutMs ?? Number.POSITIVE_INFINITY;
    const controller = new AbortController();
    const abort = (): void => controller.abort(new RequestCancelled(options.signal?.reason));
    if (options.signal?.aborted) abort();
    options.signal?.addEventListener("abort", abort, { once: true });
    const expire = (): void => controller.abort(new RequestTimedOut(method, limitMs));
    const timer = Number.isFinite(limitMs) ? setTimeout(expire, limitMs) : undefined;
    try {
      return await work(controller.signal);
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", abort);
    }
  }

  /** The running worker; starts one if there is none. */
  #started(): Promise<{ worker: Worker; info: InitializeResult }> {
    if (this.#isClosed) return Promise.reject(new ClientClosed("the client is closed"));
    if (this.#starting === undefined || this.#worker?.ended !== undefined) {
      const ended = this.#worker;
      this.#worker = undefined;
      this.#starting = this.#start(ended);
      this.#starting.catch(() => {}); // Whoever waits for it is told.
    }
    return this.#starting;
  }

  async #start(ended: Worker | undefined): Promise<{ worker: Worker; info: InitializeResult }> {
    try {
      if (ended?.ended !== undefined) await this.#waitBeforeRestart(ended, ended.ended);
      if (this.#isClosed) throw new ClientClosed("the client is closed");
      const { model, program, options = {}, env, name = "runabout-typescript" } = this.#settings;
      const found = findProgram(program);
      const worker = new Worker(found, serveArguments(model, options), { ...process.env, ...env }, this.#events);
      this.#worker = worker;
      abandoned.register(this, worker);
      const params = { client: { name }, protocol_version: PROTOCOL_VERSION };
      const info = (await worker.request("initialize", params).answer) as InitializeResult;
      if (info.protocol_version !== PROTOCOL_VERSION) {
        await worker.close();
        throw new RequestFailed(0, `the worker speaks version ${info.protocol_version} of the protocol`);
      }
      worker.maxMessageBytes = info.limits.max_frame_bytes;
      this.#limit ??= new Limit(info.limits.max_queued);
      return { worker, info };
    } catch (error) {
      // The next request tries again.
      this.#starting = undefined;
      this.#worker ??= ended;
      throw error;
    }
  }

  async #waitBeforeRestart(worker: Worker, { exitCode, signal, log }: WorkerEnded): Promise<void> {
    if (this.#settings.restart === false) throw new WorkerEnded(exitCode, signal, log);
    this.#nFailures = worker.hasServed ? 1 : this.#nFailures + 1;
    if (this.#nFailures > 1) await sleep(Math.min(FIRST_WAIT_MS * 2 ** (this.#nFailures - 2), LONGEST_WAIT_MS));
  }
}

type WithMessages<Params extends { messages: Message[] }> = Omit<Params, "messages"> & { messages: Messages };

function conversation(params: WithMessages<ChatParams>): ChatParams {
  const { messages } = params;
  return { ...params, messages: typeof messages === "string" ? [{ role: "user", content: messages }] : messages };
}

/** Fails when `signal` is aborted. */
function aborted(signal: AbortSignal): Promise<never> {
  const failure = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  failure.catch(() => {});
  return failure;
}

/** The value of an answer in JSON. */
function parsed(result: ChatResult, text: unknown): unknown {
  if (!result.incomplete && typeof text === "string") {
    try {
      return JSON.parse(text);
    } catch {
      // Told below.
    }
  }
  throw new IncompleteAnswer(result);
}
