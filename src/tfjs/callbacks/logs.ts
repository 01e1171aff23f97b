import type { TfTensor } from '../types.ts';
import type { RawLogs } from './callback.ts';

/** Logged values, in the order in which they were logged. */
export type Logs = Record<string, number>;

/** Names that tfjs adds to the logs of a batch: they are no metrics. */
const NO_METRICS = new Set(['batch', 'size']);

/** The logs as numbers. Scalars are read and stay the training's. */
export async function resolveLogs(logs: RawLogs): Promise<Logs> {
  const entries = await Promise.all(
    Object.entries(logs)
      .filter(([name]) => !NO_METRICS.has(name))
      .map(async ([name, value]) => [name, await numberOf(value)] as const),
  );
  return Object.fromEntries(entries.filter((entry): entry is [string, number] => entry[1] !== undefined));
}

/** The logs of a batch, which tfjs disposes of behind it, to be read later or never. */
export class KeptLogs {
  #logs: Logs | undefined;
  #kept: RawLogs;

  constructor(logs: RawLogs, keep: (tensor: TfTensor) => TfTensor) {
    this.#kept = Object.fromEntries(
      Object.entries(logs)
        .filter(([name]) => !NO_METRICS.has(name))
        .map(([name, value]) => [name, isTensor(value) ? keep(value) : value]),
    );
  }

  /** Those of a batch of another process. */
  static of(logs: Logs): KeptLogs {
    const kept = new KeptLogs({}, (tensor) => tensor);
    kept.#logs = logs;
    return kept;
  }

  /** Once resolve() has been waited for. */
  get logs(): Logs {
    return this.#logs ?? {};
  }

  async resolve(): Promise<void> {
    if (this.#logs !== undefined) return;
    this.#logs = await resolveLogs(this.#kept);
    this.dispose();
  }

  dispose(): void {
    disposeLogs(this.#kept);
    this.#kept = {};
  }
}

export function disposeLogs(logs: RawLogs): void {
  for (const value of Object.values(logs)) if (isTensor(value) && !value.isDisposed) value.dispose();
}

/** JSON has no NaN and no infinity, and a loss can be either. */
export function encodeLogs(logs: Logs): Record<string, number | string> {
  return Object.fromEntries(
    Object.entries(logs).map(([name, value]) => [name, Number.isFinite(value) ? value : String(value)]),
  );
}

export function decodeLogs(encoded: unknown): Logs {
  const entries = Object.entries((encoded ?? {}) as Record<string, unknown>);
  return Object.fromEntries(entries.map(([name, value]) => [name, Number(value)]));
}

async function numberOf(value: unknown): Promise<number | undefined> {
  if (typeof value === 'number') return value;
  if (!isTensor(value)) return undefined;
  return Number(((await value.data()) as ArrayLike<number>)[0]);
}

function isTensor(value: unknown): value is TfTensor {
  return typeof (value as Partial<TfTensor> | null)?.data === 'function';
}
