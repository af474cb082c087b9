// Cuts a stream of bytes into lines.

const LINE_END = 0x0a;

/** Calls `take` with each line that is complete. Messages end at \n alone; node:readline would split elsewhere too. */
export class Lines {
  #parts: Buffer[] = [];

  constructor(private readonly take: (line: Buffer) => void) {}

  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(LINE_END); end >= 0; end = chunk.indexOf(LINE_END, start)) {
      this.#parts.push(chunk.subarray(start, end));
      this.flush();
      start = end + 1;
    }
    if (start < chunk.length) this.#parts.push(chunk.subarray(start));
  }

  /** Takes what has no end yet as a line. */
  flush(): void {
    const line = Buffer.concat(this.#parts);
    this.#parts = [];
    this.take(line);
  }
}
