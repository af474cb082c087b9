// Finds the program `runabout`.

import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

import { ProgramNotFound } from "./errors.js";

const VARIABLE = "RUNABOUT";

/**
 * The path of the program: `program` if it is given, else that of the environment variable `RUNABOUT`, else the one that
 * came with this package, else the first `runabout` on the `PATH`.
 */
export function findProgram(program?: string): string {
  const wanted = program ?? (process.env[VARIABLE] || undefined);
  if (wanted !== undefined) {
    const found = which(wanted);
    if (found !== undefined) return found;
    const source = program === undefined ? `, which the environment variable ${VARIABLE} names` : "";
    throw new ProgramNotFound(`there is no program \`${wanted}\`${source}`);
  }
  const found = which(fileURLToPath(new URL("../bin/runabout", import.meta.url))) ?? which("runabout");
  if (found !== undefined) return found;
  throw new ProgramNotFound(
    "there is no program `runabout`\n" +
      `hint: put it on the PATH, or its path into the environment variable ${VARIABLE}`,
  );
}

function which(program: string): string | undefined {
  const folders = program.includes(sep) ? [""] : (process.env["PATH"] ?? "").split(delimiter).filter(Boolean);
  return folders.map((folder) => resolve(join(folder, program))).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * The arguments of a worker. An option `kv_bits` is `--kv-bits`; `true` is a flag, `false` and `undefined` are left out.
 */
export function serveArguments(
  model: string | undefined,
  options: Readonly<Record<string, string | number | boolean | undefined>>,
): string[] {
  const words = model === undefined ? ["serve"] : ["serve", `--model=${model}`];
  for (const [name, value] of Object.entries(options)) {
    const flag = `--${name.replaceAll("_", "-")}`;
    if (value === true) words.push(flag);
    else if (value !== undefined && value !== false) words.push(`${flag}=${value}`);
  }
  return words;
}
