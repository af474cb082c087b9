// Shows the person the worker's few messages, each with what can be done about it.

import { commands, window, type Disposable } from "vscode";
import type { Notice, Worker } from "./worker";

const GET = "How to Get It";
const CHOOSE = "Choose File…";
const LOG = "Show Log";
const SETTINGS = "Settings";
const START = "Start Again";

export class Notices implements Disposable {
  private readonly subscription: Disposable;
  private saidAbsent = false;

  constructor(worker: Worker) {
    this.subscription = worker.onNotice((notice) => void this.show(notice));
  }

  dispose(): void {
    this.subscription.dispose();
  }

  private async show(notice: Notice): Promise<void> {
    switch (notice.kind) {
      case "absent":
        return this.absent(notice);
      case "crashed":
        return act(await window.showWarningMessage(`${notice.message} It is started again.`, LOG));
      case "stopped":
        return act(await window.showErrorMessage(notice.message, START, SETTINGS, LOG));
    }
  }

  private async absent({ found }: Extract<Notice, { kind: "absent" }>): Promise<void> {
    if (found.absent === "setting") {
      return act(await window.showErrorMessage(`There is no program at ${found.looked[0] ?? ""} (setting runabout.path).`, CHOOSE, SETTINGS));
    }
    if (!this.saidAbsent) {
      this.saidAbsent = true;
      return act(await window.showWarningMessage("Runabout needs its program, which was not found: put `runabout` into your PATH, or choose its file.", GET, CHOOSE));
    }
  }
}

function act(choice: string | undefined): void {
  switch (choice) {
    case GET:
      return void commands.executeCommand("runabout.walkthrough");
    case CHOOSE:
      return void commands.executeCommand("runabout.choosePath");
    case LOG:
      return void commands.executeCommand("runabout.showLog");
    case SETTINGS:
      return void commands.executeCommand("workbench.action.openSettings", "runabout.");
    case START:
      return void commands.executeCommand("runabout.restart");
  }
}
