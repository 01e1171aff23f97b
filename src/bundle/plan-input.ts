import { type CheckpointError, invalidArgument } from '../errors.ts';
import { inTurns, ONE_TURN, resultOf, type Steps, type Turns } from '../steps.ts';
import { type DType, isDType } from '../tensor/dtypes.ts';
import { describeShape, elementCount, shapeProblem } from '../tensor/shape.ts';
import { fixedByteLength } from './index-template.ts';
import { KeyColumn } from './key-column.ts';
import { MAX_SHARDS } from './names.ts';
import { type OtherSource, SourceColumns } from './source-columns.ts';
import type { BundleColumns, BundleEntry, PlanOptions } from './types.ts';

export function columnsOf(entries: readonly BundleEntry[]): BundleColumns {
  const keys = entries.map(({ key }) => key);
  return {
    keys: resultOf(KeyColumn.of(keys, ONE_TURN)),
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

/** That every dtype and shape is one that a bundle can hold, and that its source holds just that. */
export function* checkEntries({ keys, dtypes, shapes, sources }: BundleColumns, turns: Turns): Steps<void> {
  const { byteLength, others } = sources;
  yield* inTurns(turns, keys.length, (first, end) => {
    for (let i = first; i < end; i++) {
      const other = others.size === 0 ? undefined : others.get(i);
      const problem = problemOf(dtypes[i]!, shapes[i]!, byteLength[i]!, other);
      if (problem !== undefined) throw unfit(keys.at(i), problem);
    }
  });
}

/** What a tensor of `key` can't be saved for. */
export function unfit(key: string, problem: string): CheckpointError {
  return invalidArgument(`'${key}': ${problem}.`, { key });
}

function problemOf(
  dtype: DType,
  shape: readonly number[],
  offered: number,
  other: OtherSource | undefined,
): string | undefined {
  if (!isDType(dtype) || dtype === 'variant') return `tensors of dtype ${String(dtype)} can't be saved`;
  const problem = shapeProblem(shape);
  if (problem !== null) return `not a shape: ${problem}`;
  if ((dtype === 'string') !== (other?.kind === 'stored')) {
    const kind = other === undefined ? 'memory' : other.kind === 'stored' ? 'strings' : other.kind;
    return `a source of kind ${kind} can't hold ${dtype}`;
  }
  if (other?.kind === 'stored') return stringCountProblem(shape, other.count);
  const expected = fixedByteLength(dtype, shape);
  if (offered === expected) return undefined;
  const hint = offered === 0 ? ' (was the buffer transferred?)' : '';
  return `${dtype} of shape ${describeShape(shape)} has ${expected} bytes, its source offers ${offered}${hint}`;
}

export function stringCountProblem(shape: readonly number[], given: number): string | undefined {
  const expected = elementCount(shape);
  return given === expected ? undefined : `shape ${describeShape(shape)} has ${expected} strings, given ${given}`;
}
