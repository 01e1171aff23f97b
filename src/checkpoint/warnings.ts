import type { NativeWarning } from '../native/engine.ts';
import type { WriteWarning } from './write-handle.ts';

/** What native reports, in words. */
export function describeWarning(warning: NativeWarning & { key?: string }): WriteWarning {
  const { kind, key, path } = warning;
  const what = {
    changed: `${key ?? 'A tensor'} was changed while it was being saved; a consistent copy was stored. Save with snapshot: 'copy' to go on at once.`,
    unlink: `${path} could not be deleted`,
    missing: `${path} was to be deleted and is not there`,
    syncDirectory: `${path} could not be synced: what was deleted in it may come back after a power cut`,
    unlocked: 'Host memory could not be locked, so copies from and to devices are slower',
    gpuDirect: 'Tensors of devices pass the memory of the host',
    shadow: 'There is no device memory for a shadow copy; the values were read directly',
  }[kind];
  const detail =
    warning.message === undefined || kind === 'changed' || kind === 'missing' ? '' : `: ${warning.message}`;
  return { kind, key, path, message: `${what}${detail}` };
}

/** Says it where nobody has asked to hear it. */
export function warnProcess(warning: WriteWarning): void {
  process.emitWarning(warning.message, { type: 'CheckpointWarning', detail: warning.path });
}

/** Passes one warning of each kind on: what is done in batches meets the same obstacle in each. */
export function onceEach(tell: (warning: WriteWarning) => void): (warning: WriteWarning) => void {
  const kinds = new Set<string>();
  return (warning) => {
    if (kinds.has(warning.kind)) return;
    kinds.add(warning.kind);
    tell(warning);
  };
}
