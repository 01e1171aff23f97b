// A process at some stage of its life while it saves. The engine's tests look at what is left on the disk.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { float64Column } from '../../src/native/columns.ts';
import { readGraph, readIndex } from '../../src/native/decode.ts';
import { allocate, readFile, runSave } from '../../src/native/engine.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { saveProgram } from './programs.ts';

const [mode, directory] = isMainThread ? process.argv.slice(2) : [workerData.mode, workerData.directory];

function save(name: string, more: Parameters<typeof saveProgram>[3] = {}) {
  const memory = new Uint8Array(allocate(48 * 2 ** 20)).fill(7);
  return runSave(saveProgram(directory, [{ bytes: memory, offset: 0 }], { threads: 2 }, { ...more, name }), {
    onWarning: (warning) => {
      throw new Error(`from onWarning: ${warning.kind}`);
    },
  });
}

function startWorker(index: number): Worker {
  return new Worker(new URL(import.meta.url), { workerData: { mode: `worker-${index}`, directory } });
}

/** Asks for results of the kind, and lets none be delivered. */
function readAndSpin(kind: string): void {
  const file = `${directory}/file`;
  const keys = { text: new Uint8Array(0), start: new Uint32Array(1), slots: new Uint32Array(2), seed: 0 };
  if (kind === 'file') readFile(file);
  else if (kind === 'index') readIndex(file, 2 ** 30, new Uint8Array(256), 0);
  else readGraph(new Uint8Array(2 ** 20), keys);
  parentPort!.postMessage('started');
  for (;;);
}

/** Memory of native's in all its forms: columns, tensors, and index and object graph of a save, for its next one. */
async function hold(): Promise<unknown[]> {
  const tensors = Array.from({ length: 20_000 }, () => HostTensor.allocate({ dtype: 'float32', shape: [4] }));
  const checkpoint = new Checkpoint({ tensors });
  await checkpoint.write(`${directory}/held`);
  return [float64Column(2 ** 18), float64Column(2 ** 20), checkpoint];
}

async function main(): Promise<void> {
  if (!isMainThread && workerData.mode.startsWith('holding-')) {
    const held = await hold();
    parentPort!.postMessage('started');
    if (mode === 'holding-exits') process.exit();
    setInterval(() => held.length, 1000);
  } else if (!isMainThread && workerData.mode.startsWith('read-')) {
    readAndSpin(workerData.mode.slice(5));
  } else if (!isMainThread) {
    const run = save(`worker${workerData.mode.split('-')[1]}`);
    parentPort!.postMessage('started');
    await run.finished;
  } else if (mode === 'run-out') {
    save('ckpt');
  } else if (mode === 'deaf') {
    save('ckpt');
    for (;;);
  } else if (mode.startsWith('exit-')) {
    save('ckpt');
    setTimeout(() => process.exit(7), Number(mode.slice(5)));
    // The save may end before: then it is this timer that is waited for.
  } else if (mode.startsWith('terminate-')) {
    const worker = startWorker(0);
    await new Promise((resolve) => worker.once('message', resolve));
    await new Promise((resolve) => setTimeout(resolve, Number(mode.slice(10))));
    await worker.terminate();
    await save('ckpt').finished;
  } else if (mode.startsWith('read-')) {
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(new URL(import.meta.url), { workerData: { mode, directory } });
      await new Promise((resolve) => worker.once('message', resolve));
      await new Promise((resolve) => setTimeout(resolve, 50));
      await worker.terminate();
    }
    await save('ckpt').finished;
  } else if (mode.startsWith('holding-')) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { mode, directory } });
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    await new Promise((resolve) => worker.once('message', resolve));
    if (mode === 'holding-terminated') await worker.terminate();
    await exited;
    await save('ckpt').finished;
  } else if (mode === 'two-workers') {
    const workers = [startWorker(0), startWorker(1)];
    await Promise.all([
      save('ckpt').finished,
      ...workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve))),
    ]);
  } else if (mode === 'throwing-callback') {
    process.on('uncaughtException', (error) => console.log(`caught: ${error.message}`));
    await save('ckpt', { steps: [{ op: 'unlink', path: `${directory}/nowhere` }] }).finished;
    console.log('finished');
  }
}

await main();
