// Finds the program `runabout`: the setting, then PATH, then the places where it is usually installed.
// An editor that was started from a dock or a menu often has a shorter PATH than a shell, hence the third.

import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";

export interface Surroundings {
  /** The setting `runabout.path`; may be empty. */
  setting: string;
  env: Record<string, string | undefined>;
  home: string;
  windows: boolean;
  isProgram: (path: string) => boolean;
}

export type Found = { path: string } | { absent: "setting" | "everywhere"; looked: string[] };

/** A path that is set but wrong is an error: another program than the one that was asked for would confuse. */
export function findProgram({ setting, env, home, windows, isProgram }: Surroundings): Found {
  if (setting !== "") {
    const path = setting.startsWith("~/") ? join(home, setting.slice(2)) : setting;
    return isProgram(path) ? { path } : { absent: "setting", looked: [path] };
  }
  const name = windows ? "runabout.exe" : "runabout";
  const inPath = (env["PATH"] ?? env["Path"] ?? "").split(windows ? ";" : delimiter).filter((folder) => folder !== "");
  const known = [join(env["CARGO_HOME"] ?? join(home, ".cargo"), "bin"), join(home, ".local", "bin"), join(home, "bin")];
  if (!windows) {
    known.push("/usr/local/bin", join(env["HOMEBREW_PREFIX"] ?? "/opt/homebrew", "bin"));
  }
  const looked = [...new Set([...inPath, ...known])].map((folder) => join(folder, name));
  const path = looked.find(isProgram);
  return path === undefined ? { absent: "everywhere", looked } : { path };
}

export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
