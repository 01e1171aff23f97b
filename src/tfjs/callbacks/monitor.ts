/** Which way a metric gets better; `auto`: by its name, as Keras does. */
export type MonitorMode = 'auto' | 'min' | 'max';

/** Follows a metric and knows its best value so far: pure, and never made better by NaN. */
export class Monitor {
  readonly name: string;
  readonly direction: 'min' | 'max';
  #best: number | null;

  /** @param threshold what the first value has to be better than; undefined: any number is. */
  constructor(name: string, mode: MonitorMode, threshold?: number) {
    this.name = name;
    this.direction = mode === 'auto' ? directionOf(name) : mode;
    this.#best = threshold ?? null;
  }

  /** null: none yet. */
  get best(): number | null {
    return this.#best;
  }

  isBetter(value: number): boolean {
    if (Number.isNaN(value)) return false;
    if (this.#best === null) return true;
    return this.direction === 'min' ? value < this.#best : value > this.#best;
  }

  /** Takes the value if it is better. @returns whether it is. */
  improve(value: number): boolean {
    if (!this.isBetter(value)) return false;
    this.#best = value;
    return true;
  }
}

function directionOf(name: string): 'min' | 'max' {
  return name.includes('acc') || name.startsWith('fmeasure') || name.includes('auc') ? 'max' : 'min';
}
