import { promiseOf, ShortTurns } from '../steps.ts';
import { HostTensor } from '../tensor/host-tensor.ts';
import { type Box, commonRuns, volume } from './boxes.ts';
import { inContext } from './damage.ts';
import { LoadBuilder } from './load-builder.ts';
import type { StoredEntry } from './messages.ts';
import type { RegionLoads } from './region-loads.ts';
import type { StoredPart } from './stored-parts.ts';
import { readingStrings } from './strings.ts';
import type { BundleReadOptions } from './types.ts';

/** Reads boxes of string tensors, whose elements vary in length: the parts they lie in are read whole. */
export async function readStringTensors(
  wanted: ReadonlyArray<readonly [string, StoredEntry, Box]>,
  loads: RegionLoads,
  options: BundleReadOptions,
): Promise<Map<string, HostTensor>> {
  const tensors = new Map<string, HostTensor>();
  if (wanted.length === 0) return tensors;
  const builder = new LoadBuilder();
  const pending: Array<{ key: string; target: Box; part: StoredPart; bytes: Uint8Array; data: Uint8Array[] }> = [];
  for (const [key, entry, target] of wanted) {
    const parts = loads.parts(key, entry, target);
    await loads.checkFiles([{ key, parts }]);
    const data = Array.from({ length: volume(target) }, () => new Uint8Array(0));
    for (const part of parts) {
      const bytes = new Uint8Array(part.entry.size);
      builder.tensor({ key }, null);
      builder.extent(loads.path(part.entry.shard), part.entry.offset, part.entry.size, bytes);
      pending.push({ key, target, part, bytes, data });
    }
    tensors.set(key, new HostTensor({ dtype: 'string', shape: target.length, data }));
  }
  await loads.run(builder, options);
  const turns = new ShortTurns();
  for (const { key, target, part, bytes, data } of pending) {
    const { entry, box } = part;
    const path = loads.path(entry.shard);
    const expectedCrc = options.verify === false ? null : entry.crc32c;
    const elements = await promiseOf(readingStrings(bytes, volume(box), expectedCrc, turns)).catch((error) =>
      inContext(`${path}: '${key}' at ${entry.offset}`, { path, key, offset: entry.offset }, () => {
        throw error;
      }),
    );
    const runs = commonRuns(box, target);
    for (const [from, to] of runs.all()) {
      for (let i = 0; i < runs.length; i++) data[to + i] = elements[from + i]!;
    }
  }
  return tensors;
}
