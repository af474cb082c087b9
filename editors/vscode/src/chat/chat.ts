// The chat view: keeps the conversation, runs one question at a time, and applies answers to the code.

import { randomBytes } from "node:crypto";
import { CancellationTokenSource, Uri, commands, env, window, type Disposable, type Webview, type WebviewView, type WebviewViewProvider } from "vscode";
import type { ChatResult } from "../protocol";
import { chatParameters } from "../settings";
import { errorInWords } from "../words";
import type { Worker } from "../worker";
import { label, messages, shown, type Turn } from "./conversation";
import type { FromPage, ToPage } from "./messages";
import { apply, insert, selected, type Place } from "./selection";

const VIEW = "runabout.chat";

export class Chat implements WebviewViewProvider, Disposable {
  private readonly subscriptions: Disposable[];
  private view: WebviewView | undefined;
  private turns: Turn[] = [];
  /** The places of the code that questions were about, by the index of the question's turn. */
  private places = new Map<number, Place>();
  /** The running request. Nothing else streams on this connection, so all deltas are its own. */
  private running: { answer: Turn; cancellation: CancellationTokenSource } | undefined;

  constructor(
    private readonly extension: Uri,
    private readonly worker: Worker,
  ) {
    this.subscriptions = [
      window.registerWebviewViewProvider(VIEW, this),
      window.onDidChangeTextEditorSelection(() => this.tellSelection()),
      window.onDidChangeActiveTextEditor(() => this.tellSelection()),
      worker.onDelta(({ text }) => this.more(text)),
      commands.registerCommand("runabout.chat.ask", async () => {
        await commands.executeCommand(`${VIEW}.focus`);
        this.tell({ kind: "focus" });
      }),
      commands.registerCommand("runabout.chat.new", () => this.startAnew()),
      commands.registerCommand("runabout.chat.stop", () => this.stop()),
    ];
  }

  dispose(): void {
    this.stop();
    this.subscriptions.forEach((subscription) => subscription.dispose());
  }

  resolveWebviewView(view: WebviewView): void {
    this.view = view;
    const folder = Uri.joinPath(this.extension, "out", "chat");
    view.webview.options = { enableScripts: true, localResourceRoots: [folder] };
    view.webview.html = page(view.webview, folder);
    view.webview.onDidReceiveMessage((message: FromPage) => void this.received(message));
    view.onDidDispose(() => (this.view = undefined));
  }

  private async received(message: FromPage): Promise<void> {
    switch (message.kind) {
      case "ready":
        this.tellConversation();
        this.tellSelection();
        return;
      case "ask":
        return this.ask(message.question, message.withSelection ? selected(window.activeTextEditor) : undefined);
      case "stop":
        return this.stop();
      case "copy":
        await env.clipboard.writeText(message.text);
        return;
      case "apply": {
        const place = this.placeOf(message.turn);
        const problem = await (place === undefined ? insert(message.code) : apply(message.code, place));
        if (problem !== undefined) {
          void window.showWarningMessage(problem);
        }
      }
    }
  }

  private async ask(question: string, place: Place | undefined): Promise<void> {
    if (this.running !== undefined || question.trim() === "") {
      return;
    }
    if (place !== undefined) {
      this.places.set(this.turns.length, place);
    }
    this.turns.push({ role: "user", text: question, ...(place === undefined ? {} : { about: place.excerpt }) });
    const sent = messages(this.turns);
    const answer: Turn = { role: "assistant", text: "" };
    this.turns.push(answer);
    const cancellation = new CancellationTokenSource();
    this.setRunning({ answer, cancellation });
    try {
      const result = await this.worker.request<ChatResult>("chat", { ...chatParameters(), messages: sent }, cancellation.token);
      answer.text = result.message.content;
      if (result.finish_reason === "length") {
        answer.note = "The answer reached its longest length.";
      }
    } catch (error) {
      // The text so far stays: it is on the screen already.
      answer.note = cancellation.token.isCancellationRequested ? "Stopped." : failure(error);
    } finally {
      this.setRunning(undefined);
      cancellation.dispose();
    }
  }

  private more(text: string): void {
    const answer = this.running?.answer;
    if (answer !== undefined) {
      answer.text += text;
      // It may belong to a conversation that the person has left.
      if (this.turns.at(-1) === answer) {
        this.tell({ kind: "delta", text });
      }
    }
  }

  private stop(): void {
    this.running?.cancellation.cancel();
  }

  private startAnew(): void {
    this.stop();
    this.turns = [];
    this.places.clear();
    this.tellConversation();
  }

  /** The code that an answer is about: that of its question, or else of the last question with code. */
  private placeOf(turn: number): Place | undefined {
    const questions = [...this.places.keys()].filter((index) => index < turn);
    return this.places.get(Math.max(...questions));
  }

  private setRunning(running: Chat["running"]): void {
    this.running = running;
    void commands.executeCommand("setContext", "runabout.chat.running", running !== undefined);
    this.tellConversation();
  }

  private tellConversation(): void {
    this.tell({ kind: "conversation", turns: this.turns.map(shown), running: this.running !== undefined });
  }

  private tellSelection(): void {
    const place = selected(window.activeTextEditor);
    this.tell({ kind: "selection", label: place === undefined ? undefined : label(place.excerpt) });
  }

  private tell(message: ToPage): void {
    void this.view?.webview.postMessage(message);
  }
}

function failure(error: unknown): string {
  // The client's own words for a connection that has ended.
  const ended = /disposed|got closed|ConnectionInactive|not running/i.test(String((error as Error).message));
  return ended ? "The worker ended before it had answered. Ask again." : errorInWords(error);
}

function page(webview: Webview, folder: Uri): string {
  const nonce = randomBytes(16).toString("base64");
  const file = (name: string) => webview.asWebviewUri(Uri.joinPath(folder, name)).toString();
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${file("chat.css")}">
<title>Chat</title>
</head>
<body>
<main id="turns" aria-live="polite"></main>
<form id="form">
<div id="about" hidden><span id="label"></span><button type="button" id="without" title="Ask without the selection" aria-label="Ask without the selection">×</button></div>
<textarea id="question" rows="2" placeholder="Ask about code" aria-label="Question"></textarea>
<button type="submit" id="send">Ask</button>
</form>
<script nonce="${nonce}" src="${file("chat.js")}"></script>
</body>
</html>`;
}
