import type { BundleEntryInfo } from '../../src/bundle/index.ts';
import { type Give, handOver } from '../../src/checkpoint/hand-over.ts';
import type { ObjectGraph } from '../../src/checkpoint/object-graph.ts';
import { RestoreOrder } from '../../src/checkpoint/restore-order.ts';
import { RestoreSession } from '../../src/checkpoint/restore-session.ts';
import type { Adapter, Snapshot, TrackableNode } from '../../src/checkpoint/trackable.ts';
import { createResolver } from '../../src/checkpoint/trackables.ts';
import { walkSteps } from '../../src/checkpoint/tree.ts';
import { ONE_TURN, promiseOf } from '../../src/steps.ts';
import type { DType } from '../../src/tensor/dtypes.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { graphOfObjects } from '../support/graphs.ts';

/** A checkpoint in memory: the walk, the object graph and the matching are the real ones, bundle and disk are not. */
export interface MemoryCheckpoint {
  readonly graph: ObjectGraph;
  readonly values: ReadonlyMap<string, { dtype: DType; shape: readonly number[]; bytes: Uint8Array | Uint8Array[] }>;
}

function root(objects: Record<string, unknown>, identity: object): TrackableNode {
  return { identity, description: 'root', children: () => Object.entries(objects) };
}

/** Captures at once; `bytes` are copied when the promise resolves, as a writer would read them. */
export async function save(objects: Record<string, unknown>, adapter: Adapter): Promise<MemoryCheckpoint> {
  const tree = await promiseOf(
    walkSteps(root(objects, {}), createResolver([adapter]), { prepare: true, turns: ONE_TURN }),
  );
  const graph = graphOfObjects(tree);
  const captured: { key: string; dtype: DType; shape: readonly number[]; snapshot: Snapshot }[] = [];
  for (const [row, value] of [...tree.values].entries()) {
    const key = graph.attributeKeys.at(row);
    captured.push({ key, dtype: value.dtype, shape: [...value.shape], snapshot: value.capture() });
  }
  const values = new Map();
  for (const { key, dtype, shape, snapshot } of captured) {
    const source = await snapshot.source;
    if (source.kind === 'memory')
      values.set(key, {
        dtype,
        shape,
        bytes: new Uint8Array(source.bytes.buffer, source.bytes.byteOffset, source.bytes.byteLength).slice(),
      });
    else if (source.kind === 'strings') values.set(key, { dtype, shape, bytes: source.elements.map((e) => e.slice()) });
  }
  for (const { snapshot } of captured) snapshot.release?.();
  return { graph, values };
}

/** The keys that no object took. */
export async function restore(
  objects: Record<string, unknown>,
  adapter: Adapter,
  checkpoint: MemoryCheckpoint,
): Promise<string[]> {
  const entries = new Map<string, BundleEntryInfo>();
  for (const [key, { dtype, shape }] of checkpoint.values) {
    entries.set(key, { dtype, shape, byteLength: 0, shard: 0, offset: 0, crc32c: 0, slices: null });
  }
  const stored = { prefix: 'memory', graph: checkpoint.graph, entries };
  const session = new RestoreSession(stored, createResolver([adapter]), new RestoreOrder());
  const matches = await promiseOf(session.match(root(objects, {}), ONE_TURN));
  const gives = Array.from({ length: matches.length }, (_, i): Give => {
    const { destination } = matches.value(i);
    const { dtype, shape, bytes } = checkpoint.values.get(matches.key(i))!;
    const data = Array.isArray(bytes) ? bytes : bytes.slice();
    if (destination.kind !== 'replace') throw new Error('not used by the adapter');
    return { to: destination, value: new HostTensor({ dtype, shape, data }) };
  });
  await handOver(gives, undefined, ONE_TURN, { began() {}, gave: (i) => session.assigned(matches, i) });
  for (const node of session.above(matches)) await node.afterRestore?.();
  return session.unmatchedKeys();
}
