import { invalidArgument } from '../errors.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import { type DType, isDType } from '../tensor/dtypes.ts';
import { describeShape, shapeProblem } from '../tensor/shape.ts';
import type { TensorSource } from '../tensor/source.ts';
import { fixedByteLength } from './index-template.ts';
import { MAX_SHARDS } from './names.ts';
import { stringsByteLength } from './strings.ts';
import type { BundleColumns, BundleEntry, PlanOptions } from './types.ts';

export function columnsOf(entries: readonly BundleEntry[]): BundleColumns {
  return {
    keys: entries.map(({ key }) => key),
    dtypes: entries.map(({ dtype }) => dtype),
    shapes: entries.map(({ shape }) => shape),
    sources: entries.map(({ source }) => source),
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

/** The stored size of every entry, checked against what its source offers. */
export function* sourceSizes({ keys, dtypes, shapes, sources }: BundleColumns, turns: Turns): Steps<Float64Array> {
  const sizes = new Float64Array(keys.length);
  yield* inTurns(turns, keys.length, (first, end) => {
    for (let i = first; i < end; i++) {
      const source = sources[i]!;
      sizes[i] =
        source.kind === 'strings'
          ? stringsByteLength(source.elements)
          : checkedSize(keys[i]!, dtypes[i]!, shapes[i]!, source);
    }
  });
  return sizes;
}

function checkedSize(key: string, dtype: DType, shape: readonly number[], source: FixedSource): number {
  const offered = source.kind === 'memory' ? source.bytes.byteLength : source.byteLength;
  if (offered === fixedByteLength(dtype, shape)) return offered;
  throw invalidArgument(
    `'${key}': ${dtype} of shape ${describeShape(shape)} has ${fixedByteLength(dtype, shape)} bytes, its source ` +
      `offers ${offered}${offered === 0 ? ' (was the buffer transferred?)' : ''}.`,
    { key },
  );
}

type FixedSource = Exclude<TensorSource, { readonly kind: 'strings' }>;

/** That every key, dtype and shape is one that a bundle can hold. */
export function* checkEntries({ keys, dtypes, shapes, sources }: BundleColumns, turns: Turns): Steps<void> {
  yield* inTurns(turns, keys.length, (first, end) => {
    for (let i = first; i < end; i++) checkEntry(keys[i]!, dtypes[i]!, shapes[i]!, sources[i]!);
  });
}

function checkEntry(key: string, dtype: DType, shape: readonly number[], source: TensorSource): void {
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
  if ((dtype === 'string') !== (source.kind === 'strings')) {
    throw invalidArgument(`'${key}': a source of kind ${source.kind} can't hold ${dtype}.`, { key });
  }
}
