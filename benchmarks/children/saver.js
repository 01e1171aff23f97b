// @ts-check
// A process that holds a state and saves it whenever it is told to. Messages: { op: 'save' } is answered with figures,
// { op: 'end' } ends it.
import { Checkpoint, CheckpointManager } from 'tensor-checkpoint';
import { collectStats } from '../lib/native-stats.js';
import { observe } from '../lib/observe.js';
import { makeState } from '../lib/state.js';

const order = JSON.parse(process.argv[2] ?? '{}');
const send = (/** @type {unknown} */ message) => process.send?.(message);
const stats = collectStats();

const { checkpoint } = await makeState(order, { fill: true });
if (!(checkpoint instanceof Checkpoint)) throw new Error('no state');
const manager = new CheckpointManager(checkpoint, { directory: order.directory, maxToKeep: 1, write: order.write });

process.on('message', async (/** @type {{ op: string }} */ message) => {
  try {
    if (message.op === 'end') {
      await manager.close();
      process.disconnect();
      return;
    }
    // The clock stops when the checkpoint is committed. Deleting the one before, which save() also waits for, is no part
    // of what a disk's limit is; the event loop and the CPU are watched until it is over.
    stats.saves.length = 0;
    stats.committedAt.length = 0;
    const start = performance.now();
    const { result: prefix, ...figures } = await observe(() => manager.save());
    const committed = stats.committedAt[0];
    if (committed === undefined) throw new Error('the save was never committed');
    send({ prefix, ...figures, seconds: (committed - start - figures.preparedMs) / 1000, stats: stats.saves[0] });
  } catch (error) {
    send({ error: error instanceof Error ? error.message : String(error) });
  }
});
process.on('disconnect', () => process.exit(0));
send({ ready: true });
