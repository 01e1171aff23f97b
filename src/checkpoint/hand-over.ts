import { CheckpointError } from '../errors.ts';
import { inTurns, promiseOf, type Turns } from '../steps.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import type { Handover, StagedValue } from './trackable.ts';

/** A value that was read and verified, and its way to its object. */
export type Give =
  /** Copies it to the object's own memory. */
  | { readonly fill: () => void | Promise<void> }
  | { readonly to: Handover; readonly value: HostTensor }
  /** It lies where the object is to have it. */
  | { readonly placed: StagedValue };

/** Is told of each value, by its index, before its object changes and when it has. */
export interface HandOverProgress {
  began(i: number): void;
  gave(i: number): void;
}

/** A staged value is a tensor that another library makes: tens of microseconds each. */
const STAGED_AT_A_TIME = 16;

/**
 * Hands values over. What takes time comes before, over many turns of the event loop, or behind; in between all objects
 * change in one turn, unless one of them takes its value in a promise.
 *
 * @throws CheckpointError ABORTED, with nothing given; or what an object threw.
 */
export async function handOver(
  gives: readonly Give[],
  signal: AbortSignal | undefined,
  turns: Turns,
  progress: HandOverProgress,
): Promise<void> {
  const staged = gives.map((give) => ('placed' in give ? give.placed : undefined));
  const assigned: StagedValue[] = [];
  try {
    const stage = (first: number, end: number): void => {
      for (let i = first; i < end; i++) {
        const give = gives[i]!;
        if ('to' in give) staged[i] = give.to.stage?.(give.value);
      }
    };
    await promiseOf(inTurns(turns, gives.length, stage, STAGED_AT_A_TIME));
    throwIfAborted(signal);
    for (const [i, give] of gives.entries()) {
      if (!('fill' in give)) continue;
      progress.began(i);
      const pending = give.fill();
      if (pending !== undefined) await pending;
      progress.gave(i);
    }
    for (const [i, give] of gives.entries()) {
      if ('fill' in give) continue;
      const value = staged[i];
      staged[i] = undefined;
      progress.began(i);
      if (value !== undefined) {
        assigned.push(value);
        value.assign();
      } else if ('to' in give && give.to.stage === undefined) {
        const pending = give.to.assign(give.value);
        if (pending !== undefined) await pending;
      }
      progress.gave(i);
    }
  } finally {
    for (const value of staged) value?.discard();
    for (const value of assigned) await value.settle?.();
  }
}

/** @throws CheckpointError ABORTED */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CheckpointError('ABORTED', 'The restore was aborted.', { cause: signal.reason });
}
