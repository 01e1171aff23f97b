import { invalidArgument } from '../errors.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import { type DType, isDType } from '../tensor/dtypes.ts';
import { describeShape, elementCount, shapeProblem } from '../tensor/shape.ts';
import { fixedByteLength } from './index-template.ts';
import { MAX_SHARDS } from './names.ts';
import { type OtherSource, SourceColumns } from './source-columns.ts';
import type { BundleColumns, BundleEntry, PlanOptions } from './types.ts';

export function columnsOf(entries: readonly BundleEntry[]): BundleColumns {
  return {
    keys: entries.map(({ key }) => key),
    dtypes: entries.map(({ dtype }) => dtype),
    shapes: entries.map(({ shape }) => shape),
    sources: SourceColumns.of(entries.map(({ source }) => source)),
  };
}

export function checkOptions(options: PlanOptions): void {
  const { shards, maxShardBytes } = options;
  if (shards !== undefined && (!Number.isInteger(shards) || shards < 1 || shards > MAX_SHARDS)) {
    throw invalidArgument(`shards must be an integer from 1 to ${MAX_SHARDS}, given ${String(shards)}.`);
  }
  if (maxShardBytes !== undefined && !(typeof maxShardBytes === 'number' && maxShardBytes >= 1)) {
    throw invalidArgument(`maxShardBytes must be a positive number of bytes, given ${String(maxShardBytes)}.`);
  }
}

/** That every key, dtype and shape is one that a bundle can hold, and that its source holds just that. */
export function* checkEntries({ keys, dtypes, shapes, sources }: BundleColumns, turns: Turns): Steps<void> {
  const { byteLength, others } = sources;
  yield* inTurns(turns, keys.length, (first, end) => {
    for (let i = first; i < end; i++) {
      checkEntry(keys[i]!, dtypes[i]!, shapes[i]!);
      checkSource(keys[i]!, dtypes[i]!, shapes[i]!, byteLength[i]!, others.size === 0 ? undefined : others.get(i));
    }
  });
}

function checkEntry(key: string, dtype: DType, shape: readonly number[]): void {
  if (typeof key !== 'string' || key === '') throw invalidArgument('A key is a string that is not empty.');
  if (key.charCodeAt(0) === 0) {
    throw invalidArgument(
      `The key ${JSON.stringify(key)} starts with a zero byte, which marks parts of sliced tensors.`,
    );
  }
  if (!key.isWellFormed()) {
    throw invalidArgument(`The key ${JSON.stringify(key)} has a lone surrogate, which UTF-8 can't express.`, { key });
  }
  if (!isDType(dtype) || dtype === 'variant') {
    throw invalidArgument(`'${key}': tensors of dtype ${String(dtype)} can't be saved.`, { key });
  }
  const problem = shapeProblem(shape);
  if (problem !== null) throw invalidArgument(`'${key}': not a shape: ${problem}.`, { key });
}

function checkSource(
  key: string,
  dtype: DType,
  shape: readonly number[],
  offered: number,
  other: OtherSource | undefined,
): void {
  if ((dtype === 'string') !== (other?.kind === 'stored')) {
    const kind = other === undefined ? 'memory' : other.kind === 'stored' ? 'strings' : other.kind;
    throw invalidArgument(`'${key}': a source of kind ${kind} can't hold ${dtype}.`, { key });
  }
  if (other?.kind === 'stored') {
    checkStringCount(key, shape, other.count);
    return;
  }
  const expected = fixedByteLength(dtype, shape);
  if (offered === expected) return;
  throw invalidArgument(
    `'${key}': ${dtype} of shape ${describeShape(shape)} has ${expected} bytes, its source offers ${offered}` +
      `${offered === 0 ? ' (was the buffer transferred?)' : ''}.`,
    { key },
  );
}

export function checkStringCount(key: string, shape: readonly number[], given: number): void {
  const expected = elementCount(shape);
  if (given === expected) return;
  throw invalidArgument(`'${key}': shape ${describeShape(shape)} has ${expected} strings, given ${given}.`, { key });
}
