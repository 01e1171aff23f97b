import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileChild, startChild } from '../support/child.ts';

interface Run {
  optimizer: string;
  losses: number[];
  weights: string;
}

const directory = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-resume-'));
let straight: Map<string, Run>;
let resumed: Map<string, Run>;

async function run(mode: string): Promise<Map<string, Run>> {
  const child = startChild(await compileChild(new URL('./resume-child.ts', import.meta.url)), [mode, directory]);
  const [output, [code]] = await Promise.all([text(child.stdout!), once(child, 'exit')]);
  expect(code).toBe(0);
  const runs = output.split('\n').filter((line) => line.startsWith('{'));
  return new Map(runs.map((line) => JSON.parse(line) as Run).map((result) => [result.optimizer, result]));
}

beforeAll(async () => {
  straight = await run('straight');
  await run('first');
  resumed = await run('second');
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('30 steps, a checkpoint, and 30 more in a new process are 60 steps, to the bit', () => {
  it.each(['sgd', 'momentum', 'adam', 'adamax', 'rmsprop', 'adagrad', 'adadelta'])('%s', (optimizer) => {
    const expected = straight.get(optimizer)!;
    expect(expected.losses).toHaveLength(30);
    expect(expected.losses.every(Number.isFinite)).toBe(true);
    expect(resumed.get(optimizer)).toEqual(expected);
  });
});

it("Adam's beta powers matter: TensorFlow.js's own way of setting them takes another course", async () => {
  const approximate = (await run('approximate')).get('adam')!;
  const { losses } = straight.get('adam')!;
  const parted = losses.findIndex((loss, i) => loss !== approximate.losses[i]);
  expect(parted).toBeGreaterThan(0);
});
