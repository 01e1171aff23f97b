// @ts-check
// Time to spend on an experiment: what is repeated goes on while another repetition fits.

export class Budget {
  #now;
  #end;

  /** @param {number} minutes @param {() => number} [now] seconds of a clock that never goes back */
  constructor(minutes, now = () => performance.now() / 1000) {
    this.#now = now;
    this.#end = now() + minutes * 60;
  }

  /** Seconds; below 0 once it is overdrawn. */
  get left() {
    return this.#end - this.#now();
  }

  /** A part of what is left. @param {number} part 0 to 1 */
  share(part) {
    return new Budget((Math.max(0, this.left) * part) / 60, this.#now);
  }

  /**
   * Repeats `work`: `least` times in any case, then as long as the longest so far fits, and `most` times at the most.
   * @param {{ least: number, most: number }} times
   * @param {(index: number) => Promise<void>} work
   * @returns {Promise<number>} how often
   */
  async repeat({ least, most }, work) {
    let longest = 0;
    for (let index = 0; index < most; index++) {
      if (index >= least && longest > this.left) return index;
      const start = this.#now();
      await work(index);
      longest = Math.max(longest, this.#now() - start);
    }
    return most;
  }
}
