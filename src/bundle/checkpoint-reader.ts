import { describeValue, invalidArgument } from '../errors.ts';
import type { DType } from '../tensor/dtypes.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { openBundle } from './reader.ts';
import type { Bundle, BundleEntryInfo, TensorSlice } from './types.ts';

export interface GetTensorOptions {
  /** Per dimension [start, length], or null for all of it. Only what is needed is read. */
  readonly slice?: TensorSlice;
  /**
   * Compare checksums. Default: whatever is read whole. `true` with a slice reads and sums the whole tensor, because
   * a tensor has one checksum.
   */
  readonly verify?: boolean;
}

/** Reads single tensors of a checkpoint, as `tf.train.load_checkpoint` does. */
export interface CheckpointReader {
  /**
   * Every tensor, by name, in bytewise order, `_CHECKPOINTABLE_OBJECT_GRAPH` included. `byteLength`: bytes in the data
   * files. `crc32c`: unmasked. A tensor stored in slices has null shard, offset and crc32c, and `slices`.
   */
  readonly variables: ReadonlyMap<string, BundleEntryInfo>;
  hasTensor(name: string): boolean;
  /**
   * @throws CheckpointError NOT_FOUND (no such tensor, or its data file is missing), DATA_LOSS, OUT_OF_RANGE (too large
   * for one ArrayBuffer: read it by slices; or a slice outside of it), UNSUPPORTED (dtype variant).
   */
  getTensor(name: string, options?: GetTensorOptions): Promise<HostTensor>;
  /** Several tensors, read together; all that can be read (variants can't), if no names are given. */
  getTensors(names?: Iterable<string>): Promise<Map<string, HostTensor>>;
  /** Forgets the index. Reads under way finish; later ones are INVALID_ARGUMENT. */
  close(): Promise<void>;
}

/**
 * Opens the checkpoint with this prefix.
 *
 * @throws CheckpointError NOT_FOUND, DATA_LOSS, UNSUPPORTED
 */
export async function openCheckpoint(
  prefix: string,
  options: { signal?: AbortSignal } = {},
): Promise<CheckpointReader> {
  return new BundleCheckpointReader(await openBundle(prefix, options));
}

/** Names, dtypes and shapes of a checkpoint's tensors, as `tf.train.list_variables`. */
export async function listVariables(
  prefix: string,
): Promise<Array<{ name: string; dtype: DType; shape: readonly number[] }>> {
  const { entries } = await openBundle(prefix);
  return Array.from(entries, ([name, { dtype, shape }]) => ({ name, dtype, shape }));
}

/** One tensor of a checkpoint, as `tf.train.load_variable`. */
export async function loadVariable(prefix: string, name: string): Promise<HostTensor> {
  return (await openBundle(prefix)).readTensor(name);
}

class BundleCheckpointReader implements CheckpointReader {
  #bundle: Bundle | null;

  constructor(bundle: Bundle) {
    this.#bundle = bundle;
  }

  get variables(): ReadonlyMap<string, BundleEntryInfo> {
    return this.#open().entries;
  }

  hasTensor(name: string): boolean {
    return this.#open().has(name);
  }

  async getTensor(name: string, options: GetTensorOptions = {}): Promise<HostTensor> {
    if (typeof options !== 'object' || options === null) {
      throw invalidArgument(`getTensor: options must be an object, not ${describeValue(options)}.`);
    }
    for (const option of Object.keys(options)) {
      if (option !== 'slice' && option !== 'verify') throw invalidArgument(`getTensor has no option '${option}'.`);
    }
    return this.#open().readTensor(name, options);
  }

  async getTensors(names?: Iterable<string>): Promise<Map<string, HostTensor>> {
    const bundle = this.#open();
    // A string is iterable too: its letters are not what is meant.
    if (names !== undefined && (typeof names !== 'object' || names === null || !(Symbol.iterator in names))) {
      throw invalidArgument(`getTensors: names must be an array of names, not ${describeValue(names)}.`);
    }
    // They are asked for one by one, over several turns: a list of the caller's may be another by then.
    return bundle.readTensors(names === undefined ? readableKeys(bundle) : [...names]);
  }

  async close(): Promise<void> {
    this.#bundle = null;
  }

  #open(): Bundle {
    if (this.#bundle === null) throw invalidArgument('This CheckpointReader was closed.');
    return this.#bundle;
  }
}

function* readableKeys({ entries }: Bundle): Iterable<string> {
  for (const [key, { dtype }] of entries) if (dtype !== 'variant') yield key;
}
