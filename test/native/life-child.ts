// A process at some stage of its life while it saves. The engine's tests look at what is left on the disk.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { allocate, runSave } from '../../src/native/engine.ts';
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

async function main(): Promise<void> {
  if (!isMainThread) {
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
