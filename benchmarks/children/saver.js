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
    // of what a disk's limit is, and is over before the next measurement.
    stats.saves.length = 0;
    const { result: prefix, ...figures } = await observe(() => {
      const handle = manager.begin();
      if (!handle) throw new Error('the manager skipped a save');
      return handle.committed;
    });
    await manager.sync();
    send({ prefix, ...figures, stats: stats.saves[0] });
  } catch (error) {
    send({ error: error instanceof Error ? error.message : String(error) });
  }
});
process.on('disconnect', () => process.exit(0));
send({ ready: true });
