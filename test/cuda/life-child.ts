/** Ends at one stage of a device tensor's life. Run by life.test.ts: `node life-child.mjs STAGE DIRECTORY`. */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { DeviceTensor } from '../../src/cuda/index.ts';
import { Checkpoint } from '../../src/index.ts';

const [stage, directory] = isMainThread ? process.argv.slice(2) : (workerData as string[]);
const data = new Float32Array(1_000_000).fill(1.5);

async function state(): Promise<Record<string, DeviceTensor>> {
  const tensors: Record<string, DeviceTensor> = {};
  for (let i = 0; i < 4; i++) {
    tensors[`t${i}`] = await DeviceTensor.fromHost({ dtype: 'float32', shape: [data.length], data });
  }
  return tensors;
}

function say(text: string): void {
  writeSync(1, `${text}\n`);
}

switch (stage) {
  case 'kept': {
    // Ends with everything alive: the last environment gives it back.
    const kept = await state();
    await new Checkpoint(kept).save(join(directory!, 'ckpt'), { deviceChecksum: true });
    say('saved');
    break;
  }
  case 'exit-while-saving': {
    const saved = new Checkpoint(await state()).save(join(directory!, 'ckpt'));
    saved.catch(() => {});
    say('saving');
    process.exit(0);
    break;
  }
  case 'natural-end-while-saving':
    // The process stays until the save has ended.
    void new Checkpoint(await state()).save(join(directory!, 'ckpt')).then(() => say('saved'));
    break;
  case 'copying':
    void (await state()).t0!.toHost();
    process.exit(0);
    break;
  case 'worker-terminated': {
    const worker = new Worker(new URL(import.meta.url), { workerData: ['in-worker', directory] });
    await new Promise((resolve) => worker.once('message', resolve));
    await worker.terminate();
    say('terminated');
    break;
  }
  case 'in-worker': {
    const { parentPort } = await import('node:worker_threads');
    const checkpoint = new Checkpoint(await state());
    checkpoint.save(join(directory!, 'ckpt')).catch(() => {});
    parentPort!.postMessage('saving');
    setInterval(() => {}, 1000);
    break;
  }
  default:
    throw new Error(`no such stage: ${stage}`);
}
