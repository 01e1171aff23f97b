import { CheckpointError, isCheckpointError } from '../errors.ts';
import type { SaveRun, SaveStats } from '../native/engine.ts';
import type { WriteFailure } from './write-handle.ts';

/** Statistics of a program whose last part, behind its commit, failed. */
export const NO_STATS: SaveStats = {
  bytesWritten: 0,
  bytesCopied: 0,
  directBytes: 0,
  gpuDirectBytes: 0,
  syncs: 0,
  seconds: 0,
  capturedSeconds: 0,
  writeSeconds: 0,
  syncSeconds: 0,
};

/** Nothing of the write had become visible. */
export const NOTHING_PUBLISHED: WriteFailure = { published: false, replaced: false, undone: true };

/** How far a program had come that failed before its commit, and what native took back. */
export function failureOf(run: SaveRun, replaced: boolean): WriteFailure {
  if (run.failure?.published !== true) return NOTHING_PUBLISHED;
  return { published: true, replaced, undone: !replaced && run.failure.undone };
}

/** The error of a failed write, with what it left under its prefix; unchanged where it left nothing. */
export function explain(error: unknown, prefix: string, failure: WriteFailure, what = ''): unknown {
  if (!failure.published) return error;
  const fields = isCheckpointError(error) ? error : undefined;
  return new CheckpointError(fields?.code ?? 'ABORTED', `${what}${messageOf(error)} ${outcome(prefix, failure)}`, {
    path: fields?.path ?? prefix,
    key: fields?.key,
    offset: fields?.offset,
    errno: fields?.errno,
    syscall: fields?.syscall,
    cause: error,
  });
}

function outcome(prefix: string, { replaced, undone }: WriteFailure): string {
  if (replaced) return `${prefix} had been replaced before that: it holds the new content, whole.`;
  return undone ? `${prefix} was removed again.` : `${prefix} could not be removed again.`;
}

export function aborted(path: string, signal: AbortSignal | undefined): CheckpointError {
  return new CheckpointError('ABORTED', `The write of ${path} was aborted.`, { path, cause: signal?.reason });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
