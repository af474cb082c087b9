// Owns the worker's process and the language client that speaks with it: finds the program, starts it,
// starts it again after a crash, and tells the rest of the extension what state it is in.

import { spawn, type ChildProcess } from "node:child_process";
import { homedir } from "node:os";
import { createInterface } from "node:readline";
import { EventEmitter, workspace, type CancellationToken, type Disposable, type LogOutputChannel } from "vscode";
import { CloseAction, ErrorAction, LanguageClient, RevealOutputChannelOn, type Middleware } from "vscode-languageclient/node";
import type { CompletionParams, DeltaParams, Info, StatusParams } from "./protocol";
import type { Found } from "./program";
import { Restarts } from "./restarts";
import { forWorker, processSettingsChanged, program, workerArguments } from "./settings";
import { exitInWords, isFinal, type Exit } from "./words";

export type WorkerState =
  | { kind: "absent"; found: Extract<Found, { absent: unknown }> }
  | { kind: "starting" }
  | { kind: "running"; status: StatusParams }
  | { kind: "restarting" }
  /** It will not be started again until the person asks for it. */
  | { kind: "stopped"; message: string };

/** What the worker has to tell the person; the caller decides how. */
export type Notice =
  | { kind: "absent"; found: Extract<Found, { absent: unknown }> }
  | { kind: "crashed"; message: string }
  | { kind: "stopped"; message: string };

/** How much of the log is kept to explain the end of the process. */
const LOG_LINES = 10;
/** The worker ends within a second of its `exit`; see its protocol page. */
const END_MS = 2_000;

export class Worker implements Disposable {
  private readonly restarts = new Restarts();
  private readonly states = new EventEmitter<WorkerState>();
  private readonly notices = new EventEmitter<Notice>();
  private readonly completions = new EventEmitter<CompletionParams>();
  private readonly deltas = new EventEmitter<DeltaParams>();
  private readonly subscriptions: Disposable[] = [];
  private client: LanguageClient | undefined;
  private process: ChildProcess | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** Each start has a number, so what an older process still has to say is not taken for the newer one's. */
  private startNumber = 0;
  private current: WorkerState = { kind: "starting" };

  readonly onDidChangeState = this.states.event;
  readonly onNotice = this.notices.event;
  readonly onCompletion = this.completions.event;
  readonly onDelta = this.deltas.event;

  constructor(
    private readonly log: LogOutputChannel,
    private readonly middleware: (client: LanguageClient) => Middleware,
  ) {
    this.subscriptions.push(
      workspace.onDidChangeConfiguration((event) => {
        if (processSettingsChanged(event)) {
          void this.restart();
        }
      }),
    );
  }

  get state(): WorkerState {
    return this.current;
  }

  /** Starts the worker, also after it gave up. */
  async restart(): Promise<void> {
    const stopped = this.stop();
    const number = this.startNumber;
    await stopped;
    // Several settings may change one after the other: the last restart is the one.
    if (number === this.startNumber) {
      this.restarts.reset();
      await this.start();
    }
  }

  /** Looks for the program again if it was absent; the person may have installed it meanwhile. */
  async lookAgain(): Promise<void> {
    if (this.current.kind === "absent" && "path" in program()) {
      await this.restart();
    }
  }

  async stop(): Promise<void> {
    clearTimeout(this.timer);
    this.startNumber += 1;
    const { client, process } = this;
    this.client = undefined;
    this.process = undefined;
    // A client that is still starting cannot be stopped; the end of its process ends it.
    await client?.stop(END_MS).catch(() => process?.kill());
    if (process !== undefined && process.exitCode === null && process.signalCode === null) {
      setTimeout(() => process.kill("SIGKILL"), END_MS).unref();
    }
  }

  dispose(): void {
    void this.stop();
    for (const subscription of [...this.subscriptions, this.states, this.notices, this.completions, this.deltas]) {
      subscription.dispose();
    }
  }

  /** Sends a request; it is refused at once while no worker runs. */
  async request<R>(method: string, params: unknown, token?: CancellationToken): Promise<R> {
    if (this.client === undefined || !this.client.isRunning()) {
      throw new Error(this.notRunning());
    }
    return token === undefined ? this.client.sendRequest<R>(method, params) : this.client.sendRequest<R>(method, params, token);
  }

  /** Executes one of the worker's commands. */
  async execute<R>(command: string, ...args: unknown[]): Promise<R> {
    return this.request<R>("workspace/executeCommand", { command, arguments: args });
  }

  /** Sends a notification if the worker runs. */
  notify(method: string, params: unknown): void {
    if (this.client?.isRunning() === true) {
      this.client.sendNotification(method, params).catch((error: unknown) => this.log.debug(`${method}: ${String(error)}`));
    }
  }

  private notRunning(): string {
    switch (this.current.kind) {
      case "absent":
        return "The program runabout was not found.";
      case "stopped":
        return this.current.message;
      default:
        return "Runabout is starting. Try again shortly.";
    }
  }

  private become(state: WorkerState): void {
    this.current = state;
    this.states.fire(state);
  }

  private async start(): Promise<void> {
    const found = program();
    if ("absent" in found) {
      this.log.warn(`runabout was not found; looked at ${found.looked.join(", ")}`);
      this.become({ kind: "absent", found });
      this.notices.fire({ kind: "absent", found });
      return;
    }
    this.become({ kind: "starting" });
    const number = (this.startNumber += 1);
    const isCurrent = () => number === this.startNumber;
    const startedAt = Date.now();
    const exit: Exit = { code: null, signal: null, log: [] };
    const ended = this.spawn(found.path, exit);
    const client = this.connect(ended.process);
    this.client = client;
    client.onNotification("runabout/status", (status: StatusParams) => {
      if (isCurrent()) {
        this.become({ kind: "running", status });
      }
    });
    client.onNotification("runabout/completion", (completion: CompletionParams) => this.completions.fire(completion));
    client.onNotification("delta", (delta: DeltaParams) => this.deltas.fire(delta));
    void ended.exit.then(() => {
      if (isCurrent()) {
        this.ended(exit, Date.now() - startedAt);
      }
    });
    try {
      await client.start();
      const state = client.initializeResult?.capabilities.experimental?.runabout as Partial<StatusParams> | undefined;
      if (isCurrent() && this.current.kind === "starting") {
        this.become({ kind: "running", status: { state: "loading", ...state } });
        // The model may have become ready between that answer and the first notification.
        const info = await this.execute<Info>("runabout.info");
        if (isCurrent()) {
          this.become({ kind: "running", status: info });
        }
      }
    } catch (error) {
      // The end of the process, which is handled above, is the usual cause.
      this.log.debug(`start: ${String(error)}`);
      if (isCurrent() && !client.isRunning()) {
        ended.process.kill();
      }
    }
  }

  private spawn(path: string, exit: Exit): { process: ChildProcess; exit: Promise<void> } {
    const args = workerArguments();
    this.log.info(`starting ${[path, ...args].join(" ")}`);
    const folder = workspace.workspaceFolders?.find(({ uri }) => uri.scheme === "file")?.uri.fsPath;
    const child = spawn(path, args, { cwd: folder ?? homedir(), stdio: "pipe" });
    this.process = child;
    createInterface({ input: child.stderr, crlfDelay: Infinity }).on("line", (line) => {
      exit.log = [...exit.log, line].slice(-LOG_LINES);
      this.log.info(line);
    });
    // Writing to a process that has just ended would otherwise end the extension host.
    child.stdin.on("error", (error) => this.log.debug(`stdin: ${error.message}`));
    const ended = new Promise<void>((resolve) => {
      child.once("error", (error) => {
        exit.log.push(error.message);
        // It did not start at all.
        if (child.pid === undefined) {
          exit.code = 1;
          resolve();
        }
      });
      // "close" comes after the last line of the log, "exit" may come before.
      child.once("close", (code, signal) => {
        exit.code = code;
        exit.signal = signal;
        resolve();
      });
    });
    return { process: child, exit: ended };
  }

  private connect(child: ChildProcess): LanguageClient {
    // Late, since the client needs the middleware and the middleware the client.
    const middleware: Middleware = {
      workspace: { configuration: (params, token, next) => this.settings(params, token, next) },
      // The status bar shows the progress already.
      handleWorkDoneProgress: () => {},
    };
    const client = new LanguageClient("runabout", "Runabout", () => Promise.resolve(child), {
      // Not all schemes: the log is a document too, and each line about a change of it would be a change.
      documentSelector: ["file", "untitled", "vscode-notebook-cell", "vscode-vfs", "vscode-userdata"].map((scheme) => ({ scheme })),
      outputChannel: this.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationOptions: () => ({ settings: forWorker(workspace.getConfiguration().get("runabout")), notifications: true }),
      synchronize: { configurationSection: "runabout" },
      initializationFailedHandler: () => false,
      // The end of the process is handled here, with its exit code at hand.
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => ({ action: CloseAction.DoNotRestart, handled: true, message: "The connection is closed." }),
      },
      // The child's log is read above.
      stdioOptions: { stderr: () => {}, stdout: () => {} },
      middleware,
    });
    Object.assign(middleware, this.middleware(client));
    return client;
  }

  private async settings(
    params: Parameters<NonNullable<NonNullable<Middleware["workspace"]>["configuration"]>>[0],
    token: CancellationToken,
    next: Parameters<NonNullable<NonNullable<Middleware["workspace"]>["configuration"]>>[2],
  ): Promise<unknown[]> {
    const sections = await next(params, token);
    return Array.isArray(sections) ? sections.map((section, i) => (params.items[i]?.section === "runabout" ? forWorker(section) : section)) : [];
  }

  private ended(exit: Exit, ranMs: number): void {
    this.client = undefined;
    this.process = undefined;
    const message = exitInWords(exit);
    this.log.error(message);
    const after = isFinal(exit) ? ({ action: "give up" } as const) : this.restarts.crashed(ranMs);
    if (after.action === "give up") {
      this.become({ kind: "stopped", message });
      this.notices.fire({ kind: "stopped", message });
      return;
    }
    this.become({ kind: "restarting" });
    if (after.announce) {
      this.notices.fire({ kind: "crashed", message });
    }
    this.timer = setTimeout(() => void this.start(), after.delayMs);
  }
}
