// The page of the chat view. Runs in the webview: shows the conversation and sends what the person does.
// All text from the model enters the page as text, never as HTML.

import { blocks, spans, type Block } from "../markdown";
import type { FromPage, ShownTurn, ToPage } from "../messages";

declare function acquireVsCodeApi(): { postMessage(message: FromPage): void };

const vscode = acquireVsCodeApi();
const turnsElement = byId("turns", HTMLElement);
const form = byId("form", HTMLFormElement);
const question = byId("question", HTMLTextAreaElement);
const send = byId("send", HTMLButtonElement);
const about = byId("about", HTMLElement);
const label = byId("label", HTMLElement);

let turns: ShownTurn[] = [];
let running = false;
/** The selection as the extension names it, and whether the next question leaves it out. */
let selection: string | undefined;
let without = false;

window.addEventListener("message", ({ data }: MessageEvent<ToPage>) => {
  switch (data.kind) {
    case "conversation":
      ({ turns, running } = data);
      turnsElement.replaceChildren(...turns.map(turnElement));
      send.textContent = running ? "Stop" : "Ask";
      toEnd();
      break;
    case "delta": {
      const last = turns.at(-1);
      if (last !== undefined) {
        last.text += data.text;
        turnsElement.lastElementChild?.replaceWith(turnElement(last, turns.length - 1));
        toEnd();
      }
      break;
    }
    case "selection":
      if (data.label !== selection) {
        selection = data.label;
        without = false;
      }
      showSelection();
      break;
    case "focus":
      question.focus();
  }
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) {
    vscode.postMessage({ kind: "stop" });
  } else if (question.value.trim() !== "") {
    vscode.postMessage({ kind: "ask", question: question.value.trim(), withSelection: !without });
    question.value = "";
  }
});

question.addEventListener("keydown", (event) => {
  // An input method's Enter chooses a word.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !running) {
    event.preventDefault();
    form.requestSubmit();
  } else if (event.key === "Escape" && running) {
    vscode.postMessage({ kind: "stop" });
  }
});

byId("without", HTMLButtonElement).addEventListener("click", () => {
  without = true;
  showSelection();
  question.focus();
});

vscode.postMessage({ kind: "ready" });

function showSelection(): void {
  about.hidden = selection === undefined || without;
  label.textContent = selection ?? "";
}

function turnElement(turn: ShownTurn, index: number): HTMLElement {
  const element = create("section", turn.role);
  if (turn.about !== undefined) {
    element.append(create("div", "about", turn.about));
  }
  if (turn.role === "user") {
    element.append(create("p", "", turn.text));
  } else {
    element.append(...blocks(turn.text).map((block) => blockElement(block, index)));
    if (running && index === turns.length - 1) {
      element.append(create("span", "waiting", "…"));
    }
  }
  if (turn.note !== undefined) {
    element.append(create("p", "note", turn.note));
  }
  return element;
}

function blockElement(block: Block, turn: number): HTMLElement {
  if (block.kind === "code") {
    const element = create("figure", "code");
    const pre = create("pre");
    pre.append(create("code", "", block.text));
    element.append(pre);
    if (block.closed || !running) {
      const bar = create("figcaption");
      bar.append(
        button("Copy", "Copy this code", () => vscode.postMessage({ kind: "copy", text: block.text })),
        button("Apply", "Put this code in the place of the code that you asked about", () =>
          vscode.postMessage({ kind: "apply", turn, code: block.text }),
        ),
      );
      element.append(bar);
    }
    return element;
  }
  const element = create(block.kind === "heading" ? "h3" : "p", block.kind);
  if (block.kind === "item") {
    element.append(create("span", "marker", block.marker));
  }
  for (const { kind, text } of spans(block.text)) {
    element.append(kind === "text" ? text : create(kind === "code" ? "code" : "strong", "", text));
  }
  return element;
}

function button(text: string, title: string, run: () => void): HTMLButtonElement {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  element.title = title;
  element.addEventListener("click", run);
  return element;
}

function create(tag: string, className = "", text?: string): HTMLElement {
  const element = document.createElement(tag);
  element.className = className;
  if (text !== undefined) {
    element.textContent = text;
  }
  return element;
}

function toEnd(): void {
  turnsElement.scrollTop = turnsElement.scrollHeight;
}

function byId<E extends HTMLElement>(id: string, type: new () => E): E {
  const element = document.getElementById(id);
  if (!(element instanceof type)) {
    throw new Error(`the page has no ${id}`);
  }
  return element;
}
