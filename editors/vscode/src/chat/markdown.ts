// Splits an answer into prose and code: as much of Markdown as small models write and a chat needs.
// A pure function of the text so far, so it can run again at each piece of a streamed answer.

export type Block =
  | { kind: "code"; language: string; text: string; /** Whether the closing fence is there. */ closed: boolean }
  | { kind: "heading"; text: string }
  | { kind: "item"; marker: string; text: string }
  | { kind: "paragraph"; text: string };

export type Span = { kind: "text" | "code" | "strong"; text: string };

const FENCE = /^( {0,3})(`{3,}|~{3,})\s*([^`\s]*)[^`]*$/;
const HEADING = /^#{1,6}\s+(.*)$/;
const ITEM = /^\s*([-*+]|\d{1,3}[.)])\s+(.*)$/;

export function blocks(text: string): Block[] {
  const found: Block[] = [];
  const lines = text.split(/\r?\n/);
  let paragraph: string[] = [];
  const endParagraph = () => {
    if (paragraph.length > 0) {
      found.push({ kind: "paragraph", text: paragraph.join("\n") });
      paragraph = [];
    }
  };
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i] ?? "";
    const fence = FENCE.exec(line);
    const heading = HEADING.exec(line);
    const item = ITEM.exec(line);
    if (fence !== null) {
      endParagraph();
      const [, indent = "", marks = "", language = ""] = fence;
      const end = lines.findIndex((candidate, at) => at > i && closes(candidate, marks));
      const body = lines.slice(i + 1, end === -1 ? undefined : end);
      // An indented fence, as in a list, indents its code too.
      const code = body.map((one) => (one.startsWith(indent) ? one.slice(indent.length) : one)).join("\n");
      found.push({ kind: "code", language, text: code, closed: end !== -1 });
      i = end === -1 ? lines.length : end;
    } else if (heading !== null) {
      endParagraph();
      found.push({ kind: "heading", text: heading[1] ?? "" });
    } else if (item !== null) {
      endParagraph();
      found.push({ kind: "item", marker: /^\d/.test(item[1] ?? "") ? (item[1] ?? "") : "•", text: item[2] ?? "" });
    } else if (line.trim() === "") {
      endParagraph();
    } else {
      paragraph.push(line);
    }
  }
  endParagraph();
  return found;
}

/** The inline parts of a block of prose. */
export function spans(text: string): Span[] {
  const found: Span[] = [];
  let end = 0;
  for (const match of text.matchAll(/`([^`\n]+)`|\*\*([^*\n]+)\*\*/g)) {
    if (match.index > end) {
      found.push({ kind: "text", text: text.slice(end, match.index) });
    }
    found.push(match[1] === undefined ? { kind: "strong", text: match[2] ?? "" } : { kind: "code", text: match[1] });
    end = match.index + match[0].length;
  }
  if (end < text.length) {
    found.push({ kind: "text", text: text.slice(end) });
  }
  return found;
}

function closes(line: string, marks: string): boolean {
  const mark = line.trim();
  return mark.length >= marks.length && mark === (marks[0] ?? "").repeat(mark.length);
}
