// Where the program is looked for.

import assert from "node:assert/strict";
import { test } from "node:test";
import { findProgram, type Surroundings } from "../../src/program";

const find = (programs: string[], of: Partial<Surroundings> = {}) =>
  findProgram({ setting: "", env: { PATH: "/usr/bin:/opt/bin" }, home: "/me", windows: false, isProgram: (path) => programs.includes(path), ...of });

test("PATH comes before the known places", () => {
  assert.deepEqual(find(["/me/.cargo/bin/runabout", "/opt/bin/runabout"]), { path: "/opt/bin/runabout" });
});

test("a short PATH does not hide a program that Cargo installed", () => {
  assert.deepEqual(find(["/me/.cargo/bin/runabout"]), { path: "/me/.cargo/bin/runabout" });
  assert.deepEqual(find(["/cargo/bin/runabout"], { env: { CARGO_HOME: "/cargo" } }), { path: "/cargo/bin/runabout" });
});

test("a wrong setting is an error, even if there is a program elsewhere", () => {
  assert.deepEqual(find(["/usr/bin/runabout"], { setting: "/typo" }), { absent: "setting", looked: ["/typo"] });
});

test("the setting may begin with the home folder's sign", () => {
  assert.deepEqual(find(["/me/bin/mine"], { setting: "~/bin/mine" }), { path: "/me/bin/mine" });
});

test("where nothing is found, all places are named", () => {
  const found = find([]);
  assert.ok("absent" in found && found.absent === "everywhere");
  assert.ok(found.looked.includes("/opt/bin/runabout") && found.looked.includes("/me/.local/bin/runabout"));
});

test("on Windows the program has an extension", () => {
  const found = find([], { windows: true, env: { Path: "C:\\bin;D:\\bin" } });
  assert.ok("absent" in found && found.looked.every((path) => path.endsWith("runabout.exe")));
});
