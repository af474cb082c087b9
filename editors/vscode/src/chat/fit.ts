// Fits code from an answer into the place of the code that was asked about.
// Models often write a method as if it stood at the left margin, and leave out the last line's end.

export function fit(code: string, original: string): string {
  const body = code.replace(/\s+$/, "");
  const missing = missingIndentation(body, original);
  const indented = body.split("\n").map((line) => (line.trim() === "" ? "" : missing + line));
  const end = /\n[ \t]*$/.exec(original)?.[0] ?? "";
  return indented.join("\n") + end;
}

function missingIndentation(code: string, original: string): string {
  const [has, wanted] = [indentation(code), indentation(original)];
  return wanted.startsWith(has) ? wanted.slice(has.length) : "";
}

/** What all lines with text begin with. */
function indentation(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const all = lines.map((line) => /^[ \t]*/.exec(line)?.[0] ?? "");
  return all.reduce((common, one) => {
    let n = 0;
    while (n < common.length && common[n] === one[n]) {
      n += 1;
    }
    return common.slice(0, n);
  }, all[0] ?? "");
}
