// Shows how suggestions fare: the worker's counts, which never leave this machine.

import { window } from "vscode";
import { countsInWords } from "./words";
import type { Worker } from "./worker";

const CLEAR = "$(trash) Clear these counts";

export async function showStatistics(worker: Worker): Promise<void> {
  const counts = await worker.execute<Record<string, unknown>>("runabout.statistics");
  const items = countsInWords(counts).map(([label, description]) => ({ label, description }));
  const chosen = await window.showQuickPick([...items, { label: CLEAR, description: "" }], {
    title: "Suggestions since the worker started, counted on this machine only",
  });
  if (chosen?.label === CLEAR) {
    await clearStatistics(worker);
  }
}

export async function clearStatistics(worker: Worker): Promise<void> {
  await worker.execute("runabout.resetStatistics");
  window.setStatusBarMessage("Runabout: the statistics are cleared", 3000);
}
