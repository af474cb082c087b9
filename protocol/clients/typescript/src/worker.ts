// One worker process: its messages, the requests that it has not answered, and its end.
//
// It knows nothing of restarts: a new process is a new `Worker`.

import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";

import { ClientClosed, RequestFailed, WorkerEnded } from "./errors.js";
import { Lines } from "./lines.js";
import type { DeltaParams } from "./protocol.js";

const N_LOG_LINES = 20;
/** How long a worker may take to end by itself; by the protocol it takes less than a second. */
const PATIENCE_MS = 5000;
const TOO_LARGE = -32007;
/** A lone surrogate, as `JSON.stringify` writes it: no backslash of its own before it. */
const LONE_SURROGATE = /(?<!\\)(?:\\\\)*\\ud[89a-f]/;

/** Whom a worker tells of what happens. */
export interface Listener {
  notified(method: string, params: unknown): void;
  logged(line: string): void;
}

/** A request that has been sent. */
export interface Sent {
  readonly id: number;
  readonly answer: Promise<unknown>;
}

interface Pending {
  onDelta: ((delta: DeltaParams) => void) | undefined;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

export class Worker {
  /** Why the process does not answer any more. */
  ended: WorkerEnded | undefined;
  /** Whether it has answered a request. */
  hasServed = false;
  maxMessageBytes = Number.POSITIVE_INFINITY;
  /** Settled when the process has ended and all its output was read. */
  readonly end: Promise<void>;

  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #listener: Listener;
  readonly #pending = new Map<number, Pending>();
  readonly #log: string[] = [];
  #lastId = 0;
  #nWatchers = 0;
  #isClosing = false;

  constructor(program: string, args: string[], env: NodeJS.ProcessEnv, listener: Listener) {
    this.#listener = listener;
    // In a session of its own: Ctrl-C ends this program, but not the worker, which ends by itself when its input does.
    this.#process = spawn(program, args, { env, stdio: ["pipe", "pipe", "pipe"], detached: true });
    this.#process.stdin.on("error", () => {}); // The worker has ended; its exit tells how.
    const messages = new Lines((line) => this.#take(line));
    this.#process.stdout.on("data", (chunk: Buffer) => messages.push(chunk));
    const log = new Lines((line) => this.#takeLog(line.toString()));
    this.#process.stderr.on("data", (chunk: Buffer) => log.push(chunk)).on("end", () => log.flush());
    this.end = new Promise((resolve) => {
      this.#process.on("error", (error) => {
        this.#log.push(error.message);
        this.#fail(null, null);
        resolve();
      });
      this.#process.on("close", (code, signal) => {
        this.#fail(code, signal);
        resolve();
      });
    });
    // A worker without requests does not keep this program running.
    (this.#process.stdin as Socket).unref();
    this.#keepRunning();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Sends a request. */
  request(method: string, params: object, onDelta?: (delta: DeltaParams) => void): Sent {
    if (this.ended !== undefined) throw this.#endedAnew(this.ended);
    const id = ++this.#lastId;
    const line = this.#encode({ jsonrpc: "2.0", id, method, params });
    const answer = new Promise<unknown>((resolve, reject) => this.#pending.set(id, { onDelta, resolve, reject }));
    this.#keepRunning();
    this.#write(line);
    return { id, answer };
  }

  /** Asks the worker to stop a request, and does not wait. */
  cancel(id: number): void {
    if (this.ended === undefined) this.#write(this.#encode({ jsonrpc: "2.0", method: "cancel", params: { id } }));
  }

  /** Forgets a request: nobody waits for its answer any more. */
  forget(id: number): void {
    this.#pending.delete(id);
    this.#keepRunning();
  }

  /** Makes the worker end by itself. */
  closeInput(): void {
    this.#process.stdin.end();
  }

  /** Ends the process and waits for it. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.closeInput();
    this.watch();
    for (const force of ["SIGTERM", "SIGKILL"] as const) {
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise<boolean>((resolve) => (timer = setTimeout(resolve, PATIENCE_MS, false)));
      const hasEnded = await Promise.race([this.end.then(() => true), patience]);
      clearTimeout(timer);
      if (hasEnded) return;
      this.#process.kill(force);
    }
  }

  /** Keeps this program running until the result is called: it waits for notifications, or for the end. */
  watch(): () => void {
    this.#nWatchers += 1;
    this.#keepRunning();
    return () => {
      this.#nWatchers -= 1;
      this.#keepRunning();
    };
  }

  #keepRunning(): void {
    const { stdout, stderr } = this.#process as unknown as Record<"stdout" | "stderr", Socket>;
    for (const it of [this.#process, stdout, stderr]) {
      if (this.#pending.size > 0 || this.#nWatchers > 0) it.ref();
      else it.unref();
    }
  }

  #encode(message: object): string {
    const text = JSON.stringify(message);
    if (LONE_SURROGATE.test(text)) throw new TypeError("the request has text that is not valid Unicode");
    const nBytes = Buffer.byteLength(text);
    if (nBytes > this.maxMessageBytes) {
      // The worker could not tell whose message it was.
      const data = { max_frame_bytes: this.maxMessageBytes };
      throw new RequestFailed(TOO_LARGE, `the message has ${nBytes} bytes, which is too large`, data);
    }
    return `${text}\n`;
  }

  #write(line: string): void {
    if (!this.#process.stdin.writableEnded) this.#process.stdin.write(line);
  }

  #take(line: Buffer): void {
    let message: unknown;
    try {
      message = JSON.parse(line.toString());
    } catch {
      message = undefined;
    }
    if (typeof message !== "object" || message === null || Array.isArray(message)) {
      this.#listener.logged(`a line that is no message: ${line.toString().slice(0, 200)}`);
      return;
    }
    const { id, method, params, result, error } = message as Record<string, unknown>;
    if (typeof method === "string") this.#takeNotification(method, params);
    else if (typeof id === "number") this.#takeAnswer(id, result, error);
    else if (error !== undefined) this.#listener.logged(`a message was refused: ${JSON.stringify(error)}`);
  }

  #takeNotification(method: string, params: unknown): void {
    if (method !== "delta") {
      this.#listener.notified(method, params);
      return;
    }
    const delta = params as DeltaParams;
    const pending = this.#pending.get(delta.id as number);
    try {
      pending?.onDelta?.(delta);
    } catch (thrown) {
      // It belongs to the caller of this request.
      this.cancel(delta.id as number);
      this.forget(delta.id as number);
      pending?.reject(thrown);
    }
  }

  #takeAnswer(id: number, result: unknown, error: unknown): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.forget(id);
    if (typeof error === "object" && error !== null) {
      const { code, message, data } = error as { code: number; message: string; data?: unknown };
      pending.reject(new RequestFailed(code, message, data));
    } else {
      this.hasServed ||= id > 1;
      pending.resolve(result);
    }
  }

  #takeLog(line: string): void {
    const text = line.trimEnd();
    if (text === "") return;
    this.#log.push(text);
    if (this.#log.length > N_LOG_LINES) this.#log.shift();
    this.#listener.logged(text);
  }

  #endedAnew({ exitCode, signal, log }: WorkerEnded): WorkerEnded {
    return new WorkerEnded(exitCode, signal, log);
  }

  #fail(code: number | null, signal: string | null): void {
    if (this.ended !== undefined) return;
    this.ended = new WorkerEnded(code, signal, this.#log);
    for (const pending of this.#pending.values()) {
      pending.reject(this.#isClosing ? new ClientClosed("the client was closed") : this.#endedAnew(this.ended));
    }
    this.#pending.clear();
  }
}
