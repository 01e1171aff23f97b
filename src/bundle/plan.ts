import { CheckpointError, invalidArgument } from '../errors.ts';
import { ExtentKind } from '../native/contract.ts';
import { isDType } from '../tensor/dtypes.ts';
import type { MemoryRange } from '../tensor/memory.ts';
import { checkShape, describeShape, sameShape } from '../tensor/shape.ts';
import { maskCrc } from './crc.ts';
import { addressNumber, DeviceRows } from './device-rows.ts';
import { buildIndexTemplate, fixedByteLength, type IndexTemplate, sortedByBytes } from './index-template.ts';
import type { ShardRequest } from './layout.ts';
import { dataPath, MAX_SHARDS } from './names.ts';
import { stringsByteLength, writeStrings } from './strings.ts';
import type { BundleEntry, BundlePlan, PlanOptions } from './types.ts';

/** Replacing one prefix over and over alternates between two shard counts, so two templates are kept. */
const KEPT_TEMPLATES = 2;

interface CachedTemplate extends IndexTemplate {
  /** The structure in the order in which entries were given. */
  readonly entries: readonly BundleEntry[];
  readonly sizes: Float64Array;
  readonly request: ShardRequest;
  readonly avoided: readonly number[];
  /** Per given entry: its tensor, its number in layout order. */
  readonly tensorOf: Uint32Array;
  readonly stringCount: number;
  readonly stringBytes: number;
  readonly keys: readonly string[];
  readonly byteLength: number;
}

/**
 * Plans saves. Owned by one Checkpoint; keeps the index of the last structures, so that the next save of the same
 * structure costs a comparison and a copy of the index.
 */
export class BundlePlanner {
  #templates: CachedTemplate[] = [];

  /**
   * Lays out the entries, copies and sums strings, and hands back everything that a SaveProgram needs about tensors.
   *
   * @throws CheckpointError INVALID_ARGUMENT for duplicate or impossible keys, dtypes, shapes, sizes or options.
   */
  plan(entries: readonly BundleEntry[], options: PlanOptions): BundlePlan {
    checkOptions(options);
    const sizes = sourceSizes(entries);
    const template = this.#templateFor(entries, sizes, options);
    return fillPlan(template, entries, options.prefix);
  }

  #templateFor(entries: readonly BundleEntry[], sizes: Float64Array, options: PlanOptions): CachedTemplate {
    const avoided = [...(options.avoidShardCounts ?? [])].sort((a, b) => a - b);
    const found = this.#templates.findIndex((template) => matches(template, entries, sizes, options, avoided));
    const template = found >= 0 ? this.#templates.splice(found, 1)[0]! : build(entries, sizes, options, avoided);
    this.#templates = [template, ...this.#templates].slice(0, KEPT_TEMPLATES);
    return template;
  }
}

/** Plans one save without keeping anything for the next. */
export function planBundle(entries: readonly BundleEntry[], options: PlanOptions): BundlePlan {
  return new BundlePlanner().plan(entries, options);
}

function checkOptions(options: PlanOptions): void {
  const { shards, maxShardBytes } = options;
  if (shards !== undefined && (!Number.isInteger(shards) || shards < 1 || shards > MAX_SHARDS)) {
    throw invalidArgument(`shards must be an integer from 1 to ${MAX_SHARDS}, given ${String(shards)}.`);
  }
  if (maxShardBytes !== undefined && !(typeof maxShardBytes === 'number' && maxShardBytes >= 1)) {
    throw invalidArgument(`maxShardBytes must be a positive number of bytes, given ${String(maxShardBytes)}.`);
  }
}

/** The stored size of every entry, checked against what its source offers. */
function sourceSizes(entries: readonly BundleEntry[]): Float64Array {
  const sizes = new Float64Array(entries.length);
  for (let i = 0; i < entries.length; i++) {
    const { key, dtype, shape, source } = entries[i]!;
    if (source.kind === 'strings') {
      sizes[i] = stringsByteLength(source.elements);
      continue;
    }
    const offered = source.kind === 'memory' ? source.bytes.byteLength : source.byteLength;
    if (offered !== fixedByteLength(dtype, shape)) {
      throw invalidArgument(
        `'${key}': ${dtype} of shape ${describeShape(shape)} has ${fixedByteLength(dtype, shape)} bytes, its source ` +
          `offers ${offered}${offered === 0 ? ' (was the buffer transferred?)' : ''}.`,
        { key },
      );
    }
    sizes[i] = offered;
  }
  return sizes;
}

/** Whether a template fits. This runs over every entry at every save: plain loops, no allocation. */
function matches(
  template: CachedTemplate,
  entries: readonly BundleEntry[],
  sizes: Float64Array,
  options: PlanOptions,
  avoided: readonly number[],
): boolean {
  if (template.entries.length !== entries.length) return false;
  if (template.request.shards !== options.shards || template.request.maxShardBytes !== options.maxShardBytes)
    return false;
  if (!sameShape(template.avoided, avoided)) return false;
  for (let i = 0; i < entries.length; i++) {
    const kept = template.entries[i]!;
    const entry = entries[i]!;
    if (kept.key !== entry.key || kept.dtype !== entry.dtype || template.sizes[i] !== sizes[i]) return false;
    if (kept.shape !== entry.shape && !sameShape(kept.shape, entry.shape)) return false;
    if (entry.source.kind === 'strings' && kept.dtype !== 'string') return false;
  }
  return true;
}

function build(
  given: readonly BundleEntry[],
  sizes: Float64Array,
  options: PlanOptions,
  avoided: readonly number[],
): CachedTemplate {
  const order = sortedByBytes(given.map(checkEntry));
  const sorted = Array.from(order, (i) => given[i]!);
  for (let i = 1; i < sorted.length; i++) {
    const { key } = sorted[i]!;
    if (key === sorted[i - 1]!.key) throw invalidArgument(`Two tensors have the key '${key}'.`, { key });
  }
  const request = { shards: options.shards, maxShardBytes: options.maxShardBytes };
  const template = buildIndexTemplate(
    {
      keys: sorted.map((entry) => entry.key),
      dtypes: sorted.map((entry) => entry.dtype),
      shapes: sorted.map((entry) => entry.shape),
      sizes: Float64Array.from(order, (i) => sizes[i]!),
    },
    { ...request, avoidShardCounts: options.avoidShardCounts },
  );
  const tensorOf = new Uint32Array(given.length);
  template.layout.order.forEach((i, tensor) => {
    tensorOf[order[i]!] = tensor;
  });
  const strings = sizes.filter((_, i) => given[i]!.dtype === 'string');
  return {
    ...template,
    // Without the sources: a template must not keep the memory of a past save alive. Shapes are copied, because the
    // caller's array may change.
    entries: given.map(({ key, dtype, shape }) => ({ key, dtype, shape: frozen(shape), source: NO_SOURCE })),
    sizes,
    request,
    avoided,
    tensorOf,
    stringCount: strings.length,
    stringBytes: strings.reduce((sum, size) => sum + size, 0),
    keys: Array.from(template.layout.order, (i) => sorted[i]!.key),
    byteLength: sizes.reduce((sum, size) => sum + size, 0),
  };
}

const NO_SOURCE = { kind: 'memory', bytes: new Uint8Array(0) } as const;

/** A shape that is frozen can't change, so the same array next time is the same shape. */
function frozen(shape: readonly number[]): readonly number[] {
  return Object.isFrozen(shape) ? shape : [...shape];
}

function checkEntry(entry: BundleEntry): string {
  const { key, dtype, shape, source } = entry;
  if (typeof key !== 'string' || key === '') throw invalidArgument('A key is a string that is not empty.');
  if (key.charCodeAt(0) === 0) {
    throw invalidArgument(
      `The key ${JSON.stringify(key)} starts with a zero byte, which marks parts of sliced tensors.`,
    );
  }
  if (/\p{Surrogate}/u.test(key)) {
    throw invalidArgument(`The key ${JSON.stringify(key)} has a lone surrogate, which UTF-8 can't express.`, { key });
  }
  if (!isDType(dtype) || dtype === 'variant') {
    throw invalidArgument(`'${key}': tensors of dtype ${String(dtype)} can't be saved.`, { key });
  }
  checkShape(shape);
  if ((dtype === 'string') !== (source.kind === 'strings')) {
    throw invalidArgument(`'${key}': a source of kind ${source.kind} can't hold ${dtype}.`, { key });
  }
  return key;
}

function fillPlan(template: CachedTemplate, entries: readonly BundleEntry[], prefix: string): BundlePlan {
  const { layout, tensorOf, keys, checksumAt, sizes } = template;
  const count = tensorOf.length;
  const bytes = template.bytes.slice();
  const view = new DataView(bytes.buffer);

  const extents = {
    kind: new Uint8Array(count),
    buffer: new Uint32Array(count),
    source: new Float64Array(count),
    bytes: new Float64Array(count),
    file: layout.shard,
    fileOffset: layout.offset,
    tensor: new Uint32Array(count),
  };
  const buffers: ArrayBufferLike[] = [];
  const deviceRows = new DeviceRows();
  const bufferNumbers = new Map<ArrayBufferLike, number>();
  const numberOf = ({ buffer, byteLength }: MemoryRange): number => {
    // Memory of a tensor's own is not looked up: at 100,000 tensors that would cost more than all the rest.
    if (buffer.byteLength === byteLength) return buffers.push(buffer) - 1;
    let number = bufferNumbers.get(buffer);
    if (number === undefined) {
      number = buffers.push(buffer) - 1;
      bufferNumbers.set(buffer, number);
    }
    return number;
  };

  const strings = new Uint8Array(template.stringBytes);
  const stringsBuffer = template.stringCount > 0 ? buffers.push(strings.buffer) - 1 : 0;
  let stringsAt = 0;
  const patches = {
    position: new Float64Array(count - template.stringCount),
    tensor: new Uint32Array(count - template.stringCount),
  };
  let patch = 0;
  // In the order given, which is the order in memory: with many tensors this loop waits for memory, nothing else.
  for (let entry = 0; entry < count; entry++) {
    const tensor = tensorOf[entry]!;
    const { source } = entries[entry]!;
    extents.tensor[tensor] = tensor;
    extents.bytes[tensor] = sizes[entry]!;
    if (source.kind === 'strings') {
      const { key, shape } = entries[entry]!;
      checkStringCount(key, shape, source.elements.length);
      // Not the checksum of the stored bytes, so it isn't native's to patch.
      view.setUint32(checksumAt[tensor]!, maskCrc(writeStrings(source.elements, strings, stringsAt)), true);
      extents.buffer[tensor] = stringsBuffer;
      extents.source[tensor] = stringsAt;
      stringsAt += sizes[entry]!;
      continue;
    }
    if (source.kind === 'memory') {
      const { bytes: memory } = source;
      extents.buffer[tensor] = numberOf(memory);
      extents.source[tensor] = memory.byteOffset;
    } else if (source.kind === 'device') {
      const { key } = entries[entry]!;
      extents.kind[tensor] = ExtentKind.cudaDevice;
      extents.buffer[tensor] = deviceRows.add(source, key);
      extents.source[tensor] = addressNumber(source.pointer, 'device address', key);
    } else {
      extents.kind[tensor] = ExtentKind.pinnedMemory;
      extents.source[tensor] = source.address;
    }
    patches.position[patch] = checksumAt[tensor]!;
    patches.tensor[patch++] = tensor;
  }
  const paths = Array.from(layout.fileSizes, (_, shard) => dataPath(prefix, shard, layout.shardCount));
  return {
    prefix,
    files: { paths, sizes: layout.fileSizes },
    buffers,
    ...deviceRows.fields(),
    extents,
    tensorCount: count,
    index: { bytes, patches, seals: template.seals },
    byteLength: template.byteLength,
    shardCount: layout.shardCount,
    keyOf(tensor) {
      const key = keys[tensor];
      if (key === undefined) throw new CheckpointError('OUT_OF_RANGE', `There is no tensor ${tensor} in this plan.`);
      return key;
    },
  };
}

function checkStringCount(key: string, shape: readonly number[], given: number): void {
  const expected = shape.reduce((product, dimension) => product * dimension, 1);
  if (given !== expected) {
    throw invalidArgument(`'${key}': shape ${describeShape(shape)} has ${expected} strings, given ${given}.`, { key });
  }
}
