import { totalmem } from 'node:os';
import { describe, expect, it } from 'vitest';
import { allocate, engineInfo } from '../../src/native/engine.ts';
import { compileChild, startChild } from '../support/child.ts';
import { countedWhenCollected } from '../support/collected.ts';

async function make(which: 'kept' | 'dropped'): Promise<{ collections: number; most: number }> {
  const child = startChild(await compileChild(new URL('./collections-child.ts', import.meta.url)), [which]);
  let output = '';
  child.stdout!.on('data', (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => child.once('close', resolve));
  return JSON.parse(output);
}

/** It may be less than a control group leaves. */
const memory = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
const node = Number.parseInt(process.versions.node, 10);

describe('V8', () => {
  it('does not collect garbage again and again while a large state is made', async (context) => {
    if (node > 22) context.skip(`Node ${node} counts all memory outside of its heap`);
    if (memory < 2 ** 33) context.skip('the less memory the machine has, the more often V8 collects: 8 GiB are needed');
    // Told of every byte of the 4 GiB, it does 60 times.
    expect((await make('kept')).collections).toBeLessThan(25);
  });

  it('collects tensors that were dropped before they fill the memory', async () => {
    // 4 GiB were in use one after the other.
    expect((await make('dropped')).most).toBeLessThan(2 ** 30);
  });

  it('counts what lies outside of its heap as before once that is gone', async () => {
    const before = await countedWhenCollected();
    (() => {
      const kept = [allocate(2 ** 28)];
      for (let i = 0; i < 64; i++) kept.push(allocate(2 ** 22));
      const counted = engineInfo().countedBytes - before;
      expect(counted).toBeGreaterThan(2 ** 27);
      if (node <= 22) expect(counted).toBeLessThan(2 ** 29 * 0.9);
    })();
    expect(Math.abs((await countedWhenCollected()) - before)).toBeLessThan(2 ** 22);
  });
});
