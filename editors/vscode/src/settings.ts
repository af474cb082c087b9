// The extension's settings: what the worker gets of them, and how commands change them.

import { homedir } from "node:os";
import { ConfigurationTarget, workspace } from "vscode";
import { findProgram, isProgram, type Found } from "./program";

const SECTION = "runabout";
/** Settings that say how the worker is started; the worker itself does not know them. */
const OF_THE_PROCESS = ["path", "model", "arguments"];
/** The other settings that are not the worker's. */
const OF_THE_CHAT = ["chatParameters"];
const ALL_OTHERS = "*";

export function processSettingsChanged(event: { affectsConfiguration(section: string): boolean }): boolean {
  return OF_THE_PROCESS.some((name) => event.affectsConfiguration(`${SECTION}.${name}`));
}

export function program(): Found {
  const setting = workspace.getConfiguration(SECTION).get<string>("path", "").trim();
  return findProgram({ setting, env: process.env, home: homedir(), windows: process.platform === "win32", isProgram });
}

export function workerArguments(): string[] {
  const settings = workspace.getConfiguration(SECTION);
  const model = settings.get<string>("model", "").trim();
  return ["lsp", ...(model === "" ? [] : ["--model", model]), ...settings.get<string[]>("arguments", [])];
}

/** What the person adds to each request for an answer. */
export function chatParameters(): Record<string, unknown> {
  return workspace.getConfiguration(SECTION).get<Record<string, unknown>>("chatParameters", {});
}

/** When the next edit is shown. */
export function nextEditMode(): "off" | "manual" | "automatic" {
  return workspace.getConfiguration(SECTION).get("nextEdit", "manual");
}

/** The settings as the worker knows them, from the whole section as VS Code gives it. */
export function forWorker(section: unknown): Record<string, unknown> {
  // The worker's `nextEdit` says how the model is asked; here that says when.
  const { nextEdit: _, nextEditFormat, ...others } = (section ?? {}) as Record<string, unknown>;
  const entries = Object.entries({ ...others, nextEdit: nextEditFormat ?? null });
  // Null means that the worker's own default applies.
  return Object.fromEntries(entries.filter(([name, value]) => ![...OF_THE_PROCESS, ...OF_THE_CHAT].includes(name) && value !== null));
}

/** Whether the worker suggests while the person types in this language. */
export function suggestsIn(languageId: string): boolean {
  const settings = workspace.getConfiguration(SECTION);
  return settings.get("enabled", true) && languageSetting(languageId);
}

export async function toggle(): Promise<boolean> {
  const settings = workspace.getConfiguration(SECTION);
  const enabled = !settings.get("enabled", true);
  await settings.update("enabled", enabled, target("enabled"));
  return enabled;
}

export async function toggleLanguage(languageId: string): Promise<boolean> {
  const settings = workspace.getConfiguration(SECTION);
  const on = !languageSetting(languageId);
  await settings.update("languages", { ...settings.get("languages", {}), [languageId]: on }, target("languages"));
  return on;
}

export async function choosePath(path: string): Promise<void> {
  await workspace.getConfiguration(SECTION).update("path", path, ConfigurationTarget.Global);
}

function languageSetting(languageId: string): boolean {
  const languages = workspace.getConfiguration(SECTION).get<Record<string, boolean>>("languages", {});
  return languages[languageId] ?? languages[ALL_OTHERS] ?? true;
}

/** A workspace that sets it itself would hide a change of the person's own settings. */
function target(name: string): ConfigurationTarget {
  const inspected = workspace.getConfiguration(SECTION).inspect(name);
  return inspected?.workspaceValue === undefined ? ConfigurationTarget.Global : ConfigurationTarget.Workspace;
}
