// A window of VS Code in the browser: opens files, types, reads what is on the screen, takes pictures.
// Waits for what must appear, without a bound of its own; the time limit is only against hanging for ever.

import { join } from "node:path";

const HANGS_MS = 1000 * Number(process.env.RUNABOUT_PATIENCE_S ?? 300);

export class Window {
  static async open(browser, server, pictures) {
    const context = await browser.newContext({ viewport: { width: 1000, height: 560 }, permissions: ["clipboard-read", "clipboard-write"] });
    const page = await context.newPage();
    page.setDefaultTimeout(HANGS_MS);
    await page.goto(server.url);
    await page.locator(".monaco-workbench .statusbar").waitFor();
    return new Window(page, server, pictures);
  }

  constructor(page, server, pictures) {
    this.page = page;
    this.server = server;
    this.pictures = pictures;
    this.ghost = page.locator(".view-lines [class*='ghost-text']");
    this.status = page.locator(".statusbar-item[id$='runabout.status']");
    this.messages = page.locator(".notifications-toasts .notification-list-item-message");
  }

  async close() {
    await this.page.context().close();
  }

  async command(title) {
    await this.page.keyboard.press("F1");
    const input = this.page.locator(".quick-input-widget input.input");
    await input.waitFor();
    await input.fill(`>${title}`);
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: title }).first().click();
  }

  /** Opens a file and puts the cursor at the end of line `line`, counted from 1. */
  async openFile(name, line) {
    const tab = this.page.locator(".tab", { hasText: name });
    if ((await tab.count()) > 0) {
      await tab.first().click();
      // Away from where a hint would cover what is below.
      await this.page.mouse.move(700, 500);
    } else {
      await this.openFromList(name);
    }
    await this.page.locator(".tab.active", { hasText: name }).waitFor();
    await this.page.locator(".editor-instance .view-lines").waitFor();
    await this.goTo(line);
  }

  async openFromList(name) {
    await this.page.keyboard.press("Control+P");
    const input = this.page.locator(".quick-input-widget input.input");
    await input.waitFor();
    await input.fill(name);
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: name }).first().waitFor();
    await this.page.keyboard.press("Enter");
  }

  async goTo(line) {
    await this.page.keyboard.press("Control+G");
    const input = this.page.locator(".quick-input-widget input.input");
    await input.waitFor();
    await input.fill(`:${line}`);
    await this.page.keyboard.press("Enter");
    await input.waitFor({ state: "hidden" });
    await this.focused();
    await this.page.keyboard.press("End");
  }

  /** Goes back to the editor's cursor from another view. */
  async focusEditor() {
    await this.page.keyboard.press("Control+1");
    await this.focused();
  }

  /** Waits until the editor takes keys, which it does a moment after a box was closed. */
  async focused() {
    await this.page.locator(".editor-instance .monaco-editor.focused").waitFor();
  }

  /** Selects whole lines, by the keys that a person would use. */
  async select(first, last) {
    await this.goTo(first);
    await this.press("Home");
    for (let line = first; line <= last; line += 1) {
      await this.press("Shift+ArrowDown");
    }
  }

  /** What the status bar item tells a screen reader: all that it has to say. */
  async statusLabel() {
    return (await this.status.locator("a").first().getAttribute("aria-label")) ?? "";
  }

  async type(text) {
    await this.page.keyboard.type(text, { delay: 40 });
  }

  press(key) {
    return this.page.keyboard.press(key);
  }

  /** The ghost text on the screen, line by line; waits until there is some. */
  async ghostText() {
    await this.ghost.first().waitFor();
    return this.page.evaluate(() => {
      // The first line stands within the document's own line, further ones in a zone below it.
      const inline = [...document.querySelectorAll(".view-lines .ghost-text-decoration, .view-lines .ghost-text-decoration-preview")];
      inline.sort((a, b) => a.getBoundingClientRect().left - b.getBoundingClientRect().left);
      const below = [...document.querySelectorAll(".suggest-preview-text .view-line, .view-zones .view-line")];
      return [inline.map((element) => element.textContent).join(""), ...below.map((element) => element.textContent)].join("\n").replaceAll("\u00a0", " ");
    });
  }

  /** What the next edit adds, and where it is: what the extension draws behind texts, which is not part of the page's text. */
  async drawn() {
    const texts = await this.page.evaluate(() =>
      [...document.querySelectorAll(".view-lines [class*='ced-']")].map((element) => getComputedStyle(element, "::after").content));
    return texts.filter((text) => text !== "none" && text !== "normal").map((text) => JSON.parse(text).replaceAll("\u00a0", " "));
  }

  /** The document as saved; waits until `holds` of it. */
  async saved(name, holds) {
    return this.until(`the file ${name}`, () => this.server.read(name), holds);
  }

  async until(what, read, holds) {
    const started = Date.now();
    for (;;) {
      const value = await read();
      if (holds(value)) {
        return value;
      }
      if (Date.now() - started > HANGS_MS) {
        throw new Error(`waited for ${what} in vain; at last it was ${JSON.stringify(value)}`);
      }
      await this.page.waitForTimeout(50);
    }
  }

  /** The frame with the page of the chat view; opens the view if it is not there. */
  async chat() {
    if ((await this.page.locator("iframe.webview").count()) === 0) {
      await this.command("Runabout: Chat About the Selection");
    }
    const outer = this.page.frameLocator("iframe.webview.ready");
    const frame = outer.frameLocator("#active-frame");
    await frame.locator("#question").waitFor();
    return frame;
  }

  /** Asks, and returns the answer's place on the page. */
  async ask(chat, question) {
    const answers = chat.locator("section.assistant");
    const count = await answers.count();
    await chat.locator("#question").fill(question);
    await chat.locator("#question").press("Enter");
    await answers.nth(count).waitFor();
    return answers.nth(count);
  }

  /** Makes the side bar so wide that code fits into it. */
  async widenSideBar(width) {
    const box = await this.page.locator(".part.sidebar").boundingBox();
    await this.page.mouse.move(box.x + box.width + 1, 300);
    await this.page.mouse.down();
    await this.page.mouse.move(box.x + width, 300, { steps: 5 });
    await this.page.mouse.up();
    await this.page.mouse.move(900, 450);
  }

  clipboard() {
    return this.page.evaluate(() => navigator.clipboard.readText());
  }

  async clearMessages() {
    await this.command("Notifications: Clear All Notifications");
    await this.messages.first().waitFor({ state: "hidden" });
  }

  /** A picture of the editor alone, without what is around it. */
  async pictureOfEditor(name) {
    const box = await this.page.locator(".editor-instance").first().boundingBox();
    await this.picture(name, { x: box.x, y: box.y, width: Math.min(box.width, 560), height: Math.min(box.height, 240) });
  }

  async picture(name, clip) {
    await this.page.screenshot({ path: join(this.pictures, `${name}.png`), ...(clip === undefined ? {} : { clip }) });
  }
}
