// Decides when to start the worker again after a crash, and when to tell the person.
// Knows no processes and no clock, so the rules can be tested as a table.

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
/** After this many crashes in a row, the cause will not go away by itself. */
const MOST_CRASHES = 7;
/** A worker that ran this long was healthy: the next crash is a new one. */
const HEALTHY_MS = 5 * 60_000;

export type AfterCrash =
  /** Start again after the delay; `announce` is true for the first of a row of crashes. */
  | { action: "restart"; delayMs: number; announce: boolean }
  | { action: "give up" };

export class Restarts {
  private crashes = 0;

  /** The worker crashed after it ran for `ranMs`. */
  crashed(ranMs: number): AfterCrash {
    if (ranMs >= HEALTHY_MS) {
      this.crashes = 0;
    }
    this.crashes += 1;
    if (this.crashes > MOST_CRASHES) {
      return { action: "give up" };
    }
    const delayMs = Math.min(FIRST_DELAY_MS * 2 ** (this.crashes - 1), LONGEST_DELAY_MS);
    return { action: "restart", delayMs, announce: this.crashes === 1 };
  }

  /** The person started the worker: forget what was. */
  reset(): void {
    this.crashes = 0;
  }
}
