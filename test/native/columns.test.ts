import { totalmem } from 'node:os';
import { describe, expect, it } from 'vitest';
import { float64Column, freeColumns, int32Column, uint8Column, uint32Column } from '../../src/native/columns.ts';
import { engineInfo } from '../../src/native/engine.ts';
import { loadAddon } from '../../src/native/loader.ts';

const MANY = 2 ** 21;

describe('a column', () => {
  it.each([0, 1, 1000, MANY])('of %s numbers is zeroed, and of that length', (length) => {
    for (const make of [uint8Column, int32Column, uint32Column, float64Column]) {
      const column = make(length);
      expect(column.length).toBe(length);
      expect(column.every((number) => number === 0)).toBe(true);
      freeColumns(column);
    }
  });

  it.skipIf(Number(process.versions.node.split('.')[0]) > 22)(
    'is counted by V8 in a small part, also once it is freed',
    () => {
      const before = engineInfo().countedBytes;
      const columns = Array.from({ length: 8 }, () => float64Column(MANY));
      const whole = columns.length * MANY * 8;
      // A sixteenth, or more where the machine is small.
      const part = Math.max(1 / 16, 2 ** 30 / Math.min(totalmem(), process.constrainedMemory() || Infinity));
      expect(engineInfo().countedBytes - before).toBeLessThan(whole * Math.min(1, part) + whole / 16);
      freeColumns(...columns);
      expect(Math.abs(engineInfo().countedBytes - before)).toBeLessThan(whole / 8);
    },
  );

  it('that is freed has no memory any more, and may be freed again', () => {
    const column = float64Column(MANY);
    const view = column.subarray(1, 3);
    freeColumns(view);
    expect(column.length).toBe(0);
    expect(view.length).toBe(0);
    freeColumns(column);
  });

  it('gives its memory back to the system without any garbage being collected', async () => {
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 40; i++) {
      const column = float64Column(2 ** 23).fill(i);
      freeColumns(column);
      await new Promise(setImmediate);
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 30);
  });

  it("isn't freed where its memory is not the engine's", () => {
    const own = new Float64Array(MANY);
    freeColumns(own, new Uint8Array(3));
    expect(own.length).toBe(MANY);
    expect(() => loadAddon().free(3 as unknown as ArrayBuffer)).toThrow(/wrong arguments/);
  });
});
