// Inline suggestions: asks the worker for them, and tells it which are shown and which parts are accepted.
// The client's own feature registers the provider; only the request is made here, since the client would
// show a message box for each one that fails.

import { commands, window, type Disposable, type LogOutputChannel, type TextDocument, type TextDocumentChangeEvent } from "vscode";
import type { InlineCompletionItem } from "vscode-languageserver-protocol";
import type { LanguageClient, Middleware } from "vscode-languageclient/node";
import type { InlineCompletionParams, InlineCompletionResult } from "./protocol";
import { Shown } from "./shown";

/** LSP's trigger kind for a request at a keystroke. */
const AUTOMATIC = 2;

/** Sends a notification to the worker. */
type Notify = (method: string, params: unknown) => void;

export class Suggestions implements Disposable {
  private readonly subscriptions: Disposable[];
  /** The suggestion on the screen; there is one cursor, so there is at most one. */
  private shown: { uri: string; item: InlineCompletionItem; progress: Shown } | undefined;
  private notify: Notify = () => {};
  private silent: (document: TextDocument) => void = () => {};
  /** Whether the next request repeats one that was made by typing. */
  private again = false;

  constructor(private readonly log: LogOutputChannel) {
    this.subscriptions = [
      window.onDidChangeActiveTextEditor((editor) => {
        if (editor !== undefined) {
          this.notify("textDocument/didFocus", { textDocument: { uri: editor.document.uri.toString() } });
        }
      }),
    ];
  }

  /** Says where notifications go; until then there are none. */
  report(notify: Notify): void {
    this.notify = notify;
  }

  /** Says what to do when a request that came by itself got no suggestion. */
  whenSilent(silent: (document: TextDocument) => void): void {
    this.silent = silent;
  }

  /** Asks once more for what typing has asked for already; VS Code does that only if told by a person. */
  askAgain(): void {
    this.again = true;
    void commands.executeCommand("editor.action.inlineSuggest.trigger");
  }

  dispose(): void {
    this.subscriptions.forEach((subscription) => subscription.dispose());
  }

  middleware(client: LanguageClient): Middleware {
    return {
      provideInlineCompletionItems: async (document, position, context, token) => {
        const params = client.code2ProtocolConverter.asInlineCompletionParams(document, position, context) as InlineCompletionParams;
        if (this.again) {
          this.again = false;
          params.context.triggerKind = AUTOMATIC;
        }
        let result: InlineCompletionResult;
        try {
          result = await client.sendRequest<InlineCompletionResult>("textDocument/inlineCompletion", params, token);
        } catch (error) {
          if (!token.isCancellationRequested) {
            this.log.warn(`textDocument/inlineCompletion: ${String(error)}`);
          }
          return null;
        }
        if (token.isCancellationRequested) {
          return null;
        }
        const items = Array.isArray(result) ? result : (result?.items ?? []);
        this.show(document, document.offsetAt(position), items[0]);
        if (items.length === 0 && params.context.triggerKind === AUTOMATIC) {
          this.silent(document);
        }
        return client.protocol2CodeConverter.asInlineCompletionResult(items, token);
      },
      // After the change itself, so that the worker knows the document that it hears about.
      didChange: async (event, next) => {
        await next(event);
        this.follow(event);
      },
      executeCommand: (command, args, next) => {
        if (command === "runabout.accept") {
          // For the walkthrough.
          void commands.executeCommand("setContext", "runabout.accepted", true);
        }
        return next(command, args);
      },
    };
  }

  /** VS Code does not tell which suggestions it shows; it shows the first one of those that it asked for. */
  private show(document: TextDocument, offset: number, item: InlineCompletionItem | undefined): void {
    this.shown = undefined;
    if (item === undefined || typeof item.insertText !== "string") {
      return;
    }
    const { start, end } = item.range ?? {};
    const inserts = start === undefined || end === undefined || (start.line === end.line && start.character === end.character);
    if (inserts) {
      this.shown = { uri: document.uri.toString(), item, progress: new Shown(offset, item.insertText) };
    }
    this.notify("textDocument/didShowCompletion", { item });
  }

  private follow(event: TextDocumentChangeEvent): void {
    const { shown } = this;
    if (shown === undefined || event.document.uri.toString() !== shown.uri) {
      return;
    }
    const changes = event.contentChanges.map((change) => ({ offset: change.rangeOffset, removedLength: change.rangeLength, text: change.text }));
    const followed = shown.progress.follow(changes);
    if (followed.kind === "accepted") {
      this.notify("textDocument/didPartiallyAcceptCompletion", { item: shown.item, acceptedLength: followed.acceptedLength });
    } else if (followed.kind !== "typed") {
      this.shown = undefined;
    }
  }
}
