import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/checkpoint.ts';
import { Counter } from '../../src/checkpoint/counter.ts';
import { CheckpointManager } from '../../src/manager/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { describeWithOracle, runOracle } from '../support/oracle.ts';

let directory: string;
beforeEach(() => {
  directory = path.join(realpathSync(mkdtempSync(path.join(tmpdir(), 'handover-'))), 'run');
});
afterEach(() => rmSync(path.dirname(directory), { recursive: true, force: true }));

interface Found {
  managed: string[];
  restored: string | null;
  step: number;
  weights: number[];
  /** A save at the step that was restored. */
  again: string | null;
  saved: string[];
  checkpoints: string[];
}

const at = (...numbers: number[]) => numbers.map((number) => path.join(directory, `ckpt-${number}`));

/** Restores with our manager, trains on and saves `saves` times, two steps apart. */
async function ours(maxToKeep: number, saves: number): Promise<Found> {
  const step = new Counter(0);
  const weights = new Float32Array(3);
  const checkpoint = new Checkpoint({
    step,
    weights: new HostTensor({ dtype: 'float32', shape: [3], data: weights }),
  });
  await using manager = new CheckpointManager(checkpoint, {
    directory,
    maxToKeep,
    stepCounter: step,
    checkpointInterval: 2,
  });
  const managed = [...manager.checkpoints];
  const restored = await manager.restoreOrInitialize();
  const found = { step: step.value, weights: Array.from(weights), again: restored && (await manager.save()) };
  const saved: string[] = [];
  for (let i = 0; i < saves; i++) {
    step.increment(2);
    for (let j = 0; j < weights.length; j++) weights[j]! += 1;
    saved.push((await manager.save())!);
  }
  return { managed, restored, ...found, saved, checkpoints: [...manager.checkpoints] };
}

async function theirs(maxToKeep: number, saves: number): Promise<Found> {
  const script = fileURLToPath(new URL('tf_manager.py', import.meta.url));
  return JSON.parse(await runOracle(script, { args: [directory, `${maxToKeep}`, `${saves}`] })) as Found;
}

describeWithOracle('a run changes hands between TensorFlow’s manager and ours', () => {
  test('and each goes on where the other one stopped', { timeout: 120_000 }, async () => {
    await ours(3, 4);
    const second = await theirs(3, 2);
    expect(second).toEqual({
      managed: at(2, 3, 4),
      restored: at(4)[0],
      step: 8,
      weights: [4, 4, 4],
      again: null,
      saved: at(5, 6),
      checkpoints: at(4, 5, 6),
    });
    const third = await ours(2, 1);
    expect(third).toEqual({
      managed: at(4, 5, 6),
      restored: at(6)[0],
      step: 12,
      weights: [6, 6, 6],
      again: null,
      saved: at(7),
      checkpoints: at(6, 7),
    });
    const fourth = await theirs(2, 0);
    expect(fourth).toMatchObject({ managed: at(6, 7), restored: at(7)[0], step: 14, weights: [7, 7, 7] });

    expect(readdirSync(directory).sort()).toEqual([
      'checkpoint',
      ...[6, 7].flatMap((number) => [`ckpt-${number}.data-00000-of-00001`, `ckpt-${number}.index`]),
    ]);
    expect(readFileSync(path.join(directory, 'checkpoint'), 'utf8')).toMatch(/^model_checkpoint_path: "ckpt-7"\n/);
  });
});
