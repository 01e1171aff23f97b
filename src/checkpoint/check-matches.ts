import type { Bundle, BundleEntryInfo } from '../bundle/index.ts';
import { CheckpointError, type CheckpointErrorCode, type CheckpointErrorContext } from '../errors.ts';
import { int32Column } from '../native/columns.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import type { MemoryRange } from '../tensor/memory.ts';
import { describeShape, sameShape } from '../tensor/shape.ts';
import type { DeviceMemory } from '../tensor/source.ts';
import type { Matches } from './matches.ts';
import type { Destination } from './trackable.ts';

/** Where the index has the matches. */
export interface StoredRows {
  /** By match. */
  readonly rows: Int32Array;
  /** The matches whose values are strings, in their order. */
  readonly strings: readonly number[];
}

type Problem = NonNullable<CheckpointErrorContext['problems']>[number];

/**
 * Checks all that the index can tell about these matches before anything is assigned.
 *
 * @throws CheckpointError with every defect in `problems`; its code is that of the first.
 */
export function* checkMatches(matches: Matches, bundle: Bundle, turns: Turns): Steps<StoredRows> {
  const problems: Problem[] = [];
  const rows = int32Column(matches.length);
  const strings: number[] = [];
  yield* inTurns(turns, matches.length, (first, end) => {
    for (let i = first; i < end; i++) {
      const row = matches.entryRow(i) ?? bundle.entries.find(matches.key(i));
      if (row < 0) {
        const key = matches.key(i);
        const message = `${key}: the object graph names this key, but the index doesn't have it`;
        problems.push({ code: 'DATA_LOSS', key, message });
        continue;
      }
      const entry = bundle.entries.valueAt(row);
      checkMatch(matches, i, entry, problems);
      if (entry.dtype === 'string') strings.push(i);
      rows[i] = row;
    }
  });
  const first = problems[0];
  if (first === undefined) return { rows, strings };
  const SHOWN = 20;
  const list = problems.slice(0, SHOWN).map(({ message }) => `\n  ${message}`);
  if (problems.length > SHOWN) list.push(`\n  … and ${problems.length - SHOWN} more (see error.problems)`);
  throw new CheckpointError(
    first.code,
    `${bundle.prefix} does not fit the objects; nothing was changed. ${problems.length} of ${matches.length} values:${list.join('')}`,
    { path: bundle.prefix, key: first.key, problems },
  );
}

function checkMatch(matches: Matches, i: number, entry: BundleEntryInfo, problems: Problem[]): void {
  const value = matches.value(i);
  const destination = value.destination;
  const { anyShape, acceptedDTypes } = value;
  const sameDType = entry.dtype === value.dtype;
  const sizeMatters = sameDType && entry.slices === null && isInPlace(destination);
  const fits =
    sameDType &&
    (anyShape === true || sameShape(entry.shape, value.shape)) &&
    (!sizeMatters || entry.byteLength === memoryOf(destination).byteLength);
  if (fits) return;
  const key = matches.key(i);
  const add = (code: CheckpointErrorCode, message: string) => problems.push({ code, key, message });
  const what = `${key} (${matches.node(i).description})`;
  if (!sameDType && !acceptedDTypes?.includes(entry.dtype)) {
    add('DTYPE_MISMATCH', `${what}: stored as ${entry.dtype}, the object is ${value.dtype}`);
  }
  if (anyShape !== true && !sameShape(entry.shape, value.shape)) {
    const shapes = `${describeShape(entry.shape)}, the object's is ${describeShape(value.shape)}`;
    add('SHAPE_MISMATCH', `${what}: the stored shape is ${shapes}`);
  } else if (sizeMatters && entry.byteLength !== memoryOf(destination).byteLength) {
    const sizes = `${entry.byteLength} bytes, the object has ${memoryOf(destination).byteLength}`;
    add('INVALID_ARGUMENT', `${what}: stored in ${sizes}`);
  }
}

/** A destination whose memory is filled. */
export type InPlace = Extract<Destination, { kind: 'memory' | 'device' }>;

export function isInPlace(destination: Destination): destination is InPlace {
  return destination.kind !== 'replace';
}

export function memoryOf(destination: InPlace): MemoryRange | DeviceMemory {
  return destination.kind === 'memory' ? destination.bytes : destination;
}
