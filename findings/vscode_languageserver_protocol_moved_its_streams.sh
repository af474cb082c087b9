#!/usr/bin/env bash
# What meets: a program in Node that imports the message streams of vscode-languageserver-protocol by the package's name
#   alone, as with 3.17.5, and the package at 3.18.5.
# Guess: within version 3 the package's own name gives the same classes in Node.
# Seen: at 3.18.5 it gives the parts that need no platform: `StreamMessageReader` is undefined, and making a connection of two
#   streams raises TypeError. These are now at `vscode-languageserver-protocol/node` and nowhere else: the path
#   `lib/node/main`, which worked too, is closed, and so is `package.json`.
# Fails if one of these changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/look.cjs" <<'JAVASCRIPT'
const { PassThrough } = require("node:stream");
const name = "vscode-languageserver-protocol";
const tried = (what, run) => {
  try {
    console.log(`  ${what}: ${run()}`);
  } catch (error) {
    console.log(`  ${what}: ${error.code ?? error.name}`);
  }
};
tried("StreamMessageReader", () => typeof require(name).StreamMessageReader);
tried("a connection", () => typeof require(name).createProtocolConnection(new PassThrough(), new PassThrough()).sendRequest);
tried("/node", () => typeof require(`${name}/node`).StreamMessageReader);
tried("/lib/node/main", () => typeof require(`${name}/lib/node/main`).StreamMessageReader);
tried("/package.json", () => require(`${name}/package.json`).version);
JAVASCRIPT
for version in 3.17.5 3.18.5; do
  mkdir "$folder/$version"
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder/$version" "vscode-languageserver-protocol@$version"
  cp "$folder/look.cjs" "$folder/$version"
  echo "$version" >> "$folder/seen"
  node "$folder/$version/look.cjs" >> "$folder/seen"
done
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
3.17.5
  StreamMessageReader: function
  a connection: function
  /node: function
  /lib/node/main: function
  /package.json: 3.17.5
3.18.5
  StreamMessageReader: undefined
  a connection: TypeError
  /node: function
  /lib/node/main: ERR_PACKAGE_PATH_NOT_EXPORTED
  /package.json: ERR_PACKAGE_PATH_NOT_EXPORTED
EXPECTED
