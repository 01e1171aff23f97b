import { CheckpointError, isCheckpointError } from '../errors.ts';
import { LoadFailure } from '../native/engine.ts';
import type { MemoryRange } from '../tensor/memory.ts';
import type { DeviceMemory } from '../tensor/source.ts';
import { type Box, commonRuns, volume } from './boxes.ts';
import type { BundleFiles } from './bundle-files.ts';
import { LoadBuilder } from './load-builder.ts';
import type { StoredEntry } from './messages.ts';
import type { ParsedIndex } from './parse-index.ts';
import { addPart, needsPieces, readInPieces, type Verify } from './region-read.ts';
import { type StoredPart, storedParts } from './stored-parts.ts';
import type { BundleReadOptions } from './types.ts';

/** A box of a tensor and the memory it goes to. */
export interface Region {
  readonly key: string;
  readonly entry: StoredEntry;
  readonly target: Box;
  readonly parts: readonly StoredPart[];
  readonly into: MemoryRange | DeviceMemory;
  readonly verify: Verify;
}

/** Loads boxes of tensors, each of which may lie in several parts, and runs load programs: of one open checkpoint. */
export class RegionLoads {
  readonly #index: ParsedIndex;
  readonly #files: BundleFiles;

  constructor(index: ParsedIndex, files: BundleFiles) {
    this.#index = index;
    this.#files = files;
  }

  path(shard: number): string {
    return this.#files.path(shard);
  }

  /** The parts of a tensor that this box of it needs. */
  parts(key: string, entry: StoredEntry, target: Box): StoredPart[] {
    return storedParts(this.#index, key, entry, target);
  }

  region(key: string, entry: StoredEntry, target: Box, into: MemoryRange | DeviceMemory, verify: Verify): Region {
    return { key, entry, target, parts: this.parts(key, entry, target), into, verify };
  }

  /** @param builder holds what is read together with the regions. */
  async load(regions: readonly Region[], options: BundleReadOptions, builder = new LoadBuilder()): Promise<void> {
    await this.checkFiles(regions);
    const inPieces: Array<{ region: Region; part: StoredPart; into: MemoryRange }> = [];
    for (const region of regions) {
      for (const part of region.parts) {
        const path = this.path(part.entry.shard);
        if ('kind' in region.into || !needsPieces(part, region.target)) {
          addPart(builder, region, path, part, region.target, region.into, region.verify);
          continue;
        }
        inPieces.push({ region, part, into: region.into });
        const runs = commonRuns(part.box, region.target);
        const whole = volume(part.box) === runs.count * runs.length;
        if (region.verify ?? whole) {
          builder.tensor(region, part.entry.crc32c);
          builder.extent(path, part.entry.offset, part.entry.size, null);
        }
      }
    }
    await this.run(builder, options);
    for (const { region, part, into } of inPieces) {
      await readInPieces(part, region.target, into, async (fileOffset, piece) => {
        const one = new LoadBuilder();
        one.tensor(region, null);
        one.extent(this.path(part.entry.shard), fileOffset, piece.byteLength, piece);
        await this.run(one, { ...options, onProgress: undefined });
      });
    }
  }

  /** Runs what was collected, which is used up then. What fails says which keys' memory was written to. */
  async run(builder: LoadBuilder, options: BundleReadOptions): Promise<void> {
    try {
      if (builder.tensorCount > 0) await builder.run(options);
    } catch (error) {
      throw isCheckpointError(error) ? withOverwritten(error, builder) : error;
    } finally {
      builder.free();
    }
  }

  /** That the data files exist and are as large as these parts need. */
  async checkFiles(wanted: ReadonlyArray<{ key: string; parts: readonly StoredPart[] }>): Promise<void> {
    const shards = new Set(wanted.flatMap(({ parts }) => parts.map(({ entry }) => entry.shard)));
    const sizes = await this.#files.sizes(shards);
    for (const { key, parts } of wanted) {
      for (const { entry } of parts) {
        if (entry.offset + entry.size > sizes.get(entry.shard)!) throw this.#files.tooShort(key, entry, sizes);
      }
    }
  }
}

/** Adds to a failed load which keys' memory was written to. A file that ends too early is damage like any other. */
function withOverwritten(error: CheckpointError, builder: LoadBuilder): CheckpointError {
  const touched = error instanceof LoadFailure ? error.touched : undefined;
  const keys = new Set<string>();
  touched?.forEach((state, tensor) => {
    if (state !== 0) keys.add(builder.keyOf(tensor));
  });
  const { path, key, offset, errno, syscall } = error;
  const code = error.code === 'OUT_OF_RANGE' ? 'DATA_LOSS' : error.code;
  const context = { path, key, offset, errno, syscall, overwritten: [...keys], cause: error };
  return new CheckpointError(code, error.message, context);
}
