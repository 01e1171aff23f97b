import { CheckpointError } from '../errors.ts';

/** ABORTED if the signal says so; signals' own reasons are no CheckpointErrors. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new CheckpointError('ABORTED', 'The operation was aborted by its signal', { cause: signal.reason });
  }
}
