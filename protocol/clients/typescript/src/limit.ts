// How many requests are sent at a time: the worker refuses those that find its queue full, so the others wait here.

/** Lets `capacity` texts be generated at a time; the others wait in the order of their arrival. */
export class Limit {
  #free: number;
  readonly #waiting: { n: number; start: () => void }[] = [];

  constructor(readonly capacity: number) {
    this.#free = capacity;
  }

  /** Waits for `n` places; the result gives them back. If `signal` is aborted first, it takes none. */
  async take(n: number, signal: AbortSignal): Promise<() => void> {
    const places = Math.max(1, Math.min(n, this.capacity));
    if (this.#waiting.length > 0 || this.#free < places) {
      await new Promise<void>((resolve, reject) => {
        const entry = { n: places, start: () => (signal.removeEventListener("abort", abort), resolve()) };
        const abort = (): void => {
          this.#waiting.splice(this.#waiting.indexOf(entry), 1);
          this.#advance();
          reject(signal.reason);
        };
        signal.addEventListener("abort", abort, { once: true });
        this.#waiting.push(entry);
      });
    } else {
      this.#free -= places;
    }
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      this.#free += places;
      this.#advance();
    };
  }

  #advance(): void {
    for (let first = this.#waiting[0]; first !== undefined && first.n <= this.#free; first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#free -= first.n;
      first.start();
    }
  }
}
