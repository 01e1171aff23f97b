import { existsSync } from 'node:fs';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';

/** Begins a save, then never yields to the event loop again: it spins until `stop` exists, half a minute at most. */
const [prefix, stop, mode] = process.argv.slice(2) as [string, string, string];
const bytes = 16 * 1024 * 1024;
const weights = HostTensor.allocate({ dtype: 'uint8', shape: [bytes] });
weights.bytes.fill(7);
const checkpoint = new Checkpoint({ step: new Counter(42), weights });
void checkpoint.save(prefix, { enableAsync: mode === 'async' });
const end = Date.now() + 30_000;
while (Date.now() < end && !existsSync(stop));
process.kill(process.pid, 'SIGKILL');
