import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { allocate } from '../../src/native/engine.ts';
import { compileChild, startChild } from '../support/child.ts';

async function make(which: 'kept' | 'dropped'): Promise<{ collections: number; most: number }> {
  const child = startChild(await compileChild(new URL('./collections-child.ts', import.meta.url)), [which]);
  let output = '';
  child.stdout!.on('data', (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => child.once('close', resolve));
  return JSON.parse(output);
}

describe('V8', () => {
  it('does not collect garbage again and again while a large state is made', async () => {
    // Told of every byte of the 4 GiB, it does 60 times.
    expect((await make('kept')).collections).toBeLessThan(25);
  });

  it('collects tensors that were dropped before they fill the memory', async () => {
    // 4 GiB were in use one after the other.
    expect((await make('dropped')).most).toBeLessThan(2 ** 30);
  });

  it('counts memory outside of its heap as it was once that is gone', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const settled = async () => {
      for (let i = 0; i < 3; i++) {
        gc();
        // Node runs finalizers of dropped buffers on later turns.
        await new Promise(setImmediate);
      }
      return process.memoryUsage().external;
    };
    const before = await settled();
    (() => {
      const kept = [allocate(2 ** 28)];
      for (let i = 0; i < 64; i++) kept.push(allocate(2 ** 22));
    })();
    expect(Math.abs((await settled()) - before)).toBeLessThan(2 ** 22);
  });
});
