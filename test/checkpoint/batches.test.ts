import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Adapter, Checkpoint } from '../../src/checkpoint/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';
import { floats } from '../support/objects.ts';

const directory = testDirectories();

const ELEMENTS = 75_000;

/** Takes new memory for its value, or refuses it. */
class Box {
  data: Float32Array;
  refuses = false;

  constructor(value: number) {
    this.data = new Float32Array(ELEMENTS).fill(value);
  }
}

const adapter: Adapter = {
  name: 'boxes',
  adapt(value) {
    if (!(value instanceof Box)) return undefined;
    const assign = ({ data }: HostTensor): void => {
      if (value.refuses) throw new Error('no');
      value.data = data as Float32Array;
    };
    const tensor = {
      attribute: 'VARIABLE_VALUE',
      dtype: 'float32' as const,
      shape: [ELEMENTS],
      capture: () => ({ source: { kind: 'memory' as const, bytes: value.data } }),
      destination: { kind: 'replace' as const, assign },
    };
    return { identity: value, description: 'Box', values: () => [tensor] };
  },
};

function state(value: number) {
  return {
    first: floats(value),
    boxes: Array.from({ length: 10 }, (_, i) => new Box(value + i)),
    label: new HostTensor({ dtype: 'string', shape: [], data: [`label ${value}`] }),
    last: floats(-value),
  };
}

const key = (path: string) => `${path}/.ATTRIBUTES/VARIABLE_VALUE`;
const valuesOf = (boxes: readonly Box[]) => boxes.map(({ data }) => data[0]);

// Three boxes fit into the memory that is given for staging; those that are filled in place need none.
const read = { atomic: false, stagingBytes: 2 ** 20 };

describe('a restore that may hand values over as they come', () => {
  it('brings all of them', async () => {
    const prefix = await new Checkpoint(state(1), { adapters: [adapter] }).write(join(directory(), 'x'));
    const fresh = state(50);
    (await new Checkpoint(fresh, { adapters: [adapter] }).read(prefix, read)).assertConsumed();
    expect(valuesOf(fresh.boxes)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect([fresh.first.data[0], fresh.last.data[0]]).toEqual([1, -1]);
    expect(new TextDecoder().decode(fresh.label.data[0] as Uint8Array)).toBe('label 1');
  });

  it('says which objects are overwritten where one refuses its value, and leaves the others', async () => {
    const prefix = await new Checkpoint(state(1), { adapters: [adapter] }).write(join(directory(), 'x'));
    const fresh = state(50);
    fresh.boxes[7]!.refuses = true;
    const reading = new Checkpoint(fresh, { adapters: [adapter] }).read(prefix, read);
    const error = await reading.catch((caught) => caught);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(/no$/) });
    const changed = ['first', 'label', 'last', ...Array.from({ length: 8 }, (_, i) => `boxes/${i}`)].map(key);
    expect([...error.overwritten].sort()).toEqual(changed.sort());
    expect(valuesOf(fresh.boxes)).toEqual([1, 2, 3, 4, 5, 6, 7, 57, 58, 59]);
  });

  it('changes nothing of later batches once it is aborted', async () => {
    const prefix = await new Checkpoint(state(1), { adapters: [adapter] }).write(join(directory(), 'x'));
    const fresh = state(50);
    // The signal is looked at between batches.
    const controller = new AbortController();
    Object.defineProperty(fresh.boxes[2]!, 'data', {
      get: () => new Float32Array(ELEMENTS),
      set: () => controller.abort(),
    });
    const options = { ...read, signal: controller.signal };
    const reading = new Checkpoint(fresh, { adapters: [adapter] }).read(prefix, options);
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED' });
    expect(valuesOf(fresh.boxes).slice(3)).toEqual([53, 54, 55, 56, 57, 58, 59]);
  });
});
