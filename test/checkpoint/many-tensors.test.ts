import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { openCheckpoint } from '../../src/bundle/index.ts';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { ObjectNumbers } from '../../src/checkpoint/object-numbers.ts';
import type { HostTensor } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';
import { noFaults } from '../support/faults.ts';
import { floats } from '../support/objects.ts';
import { hooks } from '../support/reference-addon.ts';

// The engine in plain JavaScript: it says which programs it was given, and when.
vi.mock('../../src/native/loader.ts', async () => await import('../support/reference-addon.ts'));

const directory = testDirectories();

beforeEach(noFaults);

const MANY = 2500;

function layers(value: (index: number) => number): { [name: string]: HostTensor }[] {
  return Array.from({ length: MANY / 2 }, (_, i) => ({ kernel: floats(value(2 * i)), bias: floats(value(2 * i + 1)) }));
}

const valuesOf = (state: { [name: string]: HostTensor }[]) =>
  state.flatMap((layer) => Object.values(layer).map(({ data }) => data[0]));

describe('a state of thousands of tensors', () => {
  it('is planned in turns of the event loop, and holds the values of the call', async () => {
    const where = directory();
    const step = new Counter(7);
    const state = layers((i) => i);
    const plain = { dtype: 'float32' as const, shape: [1], data: Float32Array.of(3) };
    const checkpoint = new Checkpoint({ layers: state, step, plain });
    let turns = 0;
    const clock = setInterval(() => turns++, 0);
    const saving = checkpoint.write(join(where, 'x'));
    expect(hooks.programs).toHaveLength(0);
    step.increment();
    plain.data = Float32Array.of(-3);
    state[state.length - 1]!.bias = floats(-3);
    const path = await saving;
    clearInterval(clock);
    expect(turns).toBeGreaterThan(0);
    const restored = { layers: layers(() => -1), step: new Counter(), plain: floats(0) };
    (await new Checkpoint(restored).read(path)).assertConsumed();
    expect(restored.step.value).toBe(7);
    expect(restored.plain.data[0]).toBe(3);
    expect(valuesOf(restored.layers)).toEqual(Array.from({ length: MANY }, (_, i) => i));
  });

  it('may be one object and one list of thousands, and is the same at its next save', async () => {
    const where = directory();
    const make = (value: (index: number) => number) => ({
      named: Object.fromEntries(Array.from({ length: MANY }, (_, i) => [`weight ${i}`, floats(value(i))])),
      listed: Array.from({ length: MANY }, (_, i) => floats(value(-i))),
    });
    const checkpoint = new Checkpoint(make((i) => i));
    const paths = [await checkpoint.write(join(where, 'a')), await checkpoint.write(join(where, 'b'))];
    const [first, second] = paths.map((path) => readFileSync(`${path}.index`));
    expect(first!.equals(second!)).toBe(true);
    for (const path of paths) {
      const restored = make(() => 7);
      (await new Checkpoint(restored).read(path)).assertConsumed();
      expect(valuesOf([restored.named])).toEqual(Array.from({ length: MANY }, (_, i) => i));
      expect(restored.listed.map(({ data }) => data[0])).toEqual(Array.from({ length: MANY }, (_, i) => -i));
    }
  });

  describe('while turns are always due', () => {
    let clock: MockInstance;
    beforeEach(() => {
      let now = 0;
      clock = vi.spyOn(performance, 'now').mockImplementation(() => {
        now += 10;
        return now;
      });
    });
    afterEach(() => clock.mockRestore());

    const tensor = floats(1);
    const objects = (count: number): object[] => Array.from({ length: count }, () => ({ tensor }));

    /** An object, and whether it is visited within the call of a write. */
    function watched() {
      let visited = false;
      const object = {
        checkpointChildren() {
          visited = true;
          return { tensor };
        },
      };
      const inCallOf = async (checkpoint: Checkpoint, path: string): Promise<boolean> => {
        visited = false;
        const writing = checkpoint.write(path);
        const inCall = visited;
        await writing;
        return inCall;
      };
      return { object, inCallOf };
    }

    it('far above what is visited at once is visited in turns from the beginning at its next save', async () => {
      const where = directory();
      const { object, inCallOf } = watched();
      const state: object[] = [...objects(200), object];
      const checkpoint = new Checkpoint({ state });
      expect(await inCallOf(checkpoint, join(where, 'few'))).toBe(true);
      expect(await inCallOf(checkpoint, join(where, 'again'))).toBe(true);
      state.push(...objects(20_000));
      await inCallOf(checkpoint, join(where, 'many'));
      expect(await inCallOf(checkpoint, join(where, 'next'))).toBe(false);
    });

    it.each<[string, boolean, (watched: object) => Record<string, unknown>]>([
      ['lists that hold more than is visited at once', false, (last) => ({ state: [...objects(4500), last] })],
      ['lists that hold less', true, (last) => ({ state: [...objects(2000), last] })],
      [
        'many lists that hold more',
        false,
        (last) => ({ state: objects(50).map(() => objects(50)), last: { a: { last } } }),
      ],
      [
        'many lists that hold less',
        true,
        (last) => ({ state: objects(20).map(() => objects(50)), last: { a: { last } } }),
      ],
    ])('in %s: is visited within the call of its first save: %s', async (_, expected, stateOf) => {
      const { object, inCallOf } = watched();
      const checkpoint = new Checkpoint(stateOf(object));
      expect(await inCallOf(checkpoint, join(directory(), 'x'))).toBe(expected);
    });
  });

  it('is read by its keys in turns of the event loop', async () => {
    const path = await new Checkpoint({ layers: layers((i) => i) }).write(join(directory(), 'x'));
    const reader = await openCheckpoint(path);
    let now = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
      now += 10;
      return now;
    });
    const turns = vi.spyOn(globalThis, 'setImmediate');
    const names = [...reader.variables.keys()];
    const reading = reader.getTensors(names);
    // The names are those of the call.
    names.length = 7;
    const tensors = await reading;
    // To look up, check, make and plan them: 64 at a time, where turns are always due.
    expect(turns.mock.calls.length).toBeGreaterThan(5 * Math.floor(MANY / 64));
    turns.mockRestore();
    clock.mockRestore();
    expect(tensors.size).toBe(MANY + 1);
    expect([...tensors.keys()]).toEqual([...reader.variables.keys()]);
    expect(tensors.get('layers/3/bias/.ATTRIBUTES/VARIABLE_VALUE')!.data[0]).toBe(7);
  });

  it('has its large objects listed once', async () => {
    for (const [count, most] of [
      [10, 2],
      [5000, 1],
    ] as const) {
      const tensor = floats(1);
      let listed = 0;
      const object = Object.fromEntries(Array.from({ length: count }, (_, i) => [`weight${i}`, tensor]));
      const watched = new Proxy(object, {
        ownKeys(target) {
          listed++;
          return Reflect.ownKeys(target);
        },
      });
      await new Checkpoint({ watched }).write(join(directory(), 'x'));
      expect(listed, `${count}`).toBeLessThanOrEqual(most);
    }
  });

  it('is submitted at once where that is asked for', async () => {
    const checkpoint = new Checkpoint({ layers: layers((i) => i) });
    const handle = checkpoint.beginWrite(join(directory(), 'x'), { storeSaveCounter: false, atOnce: true });
    expect(hooks.programs).toHaveLength(1);
    await handle.finished;
  });

  it('can be aborted while it is planned, and leaves nothing', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ layers: layers((i) => i) });
    const controller = new AbortController();
    const saving = checkpoint.save(join(where, 'ckpt'), { signal: controller.signal });
    controller.abort();
    await expect(saving).rejects.toMatchObject({ code: 'ABORTED' });
    await checkpoint.sync();
    expect(hooks.programs).toHaveLength(0);
    expect(checkpoint.saveCounter.value).toBe(0);
    expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-1'));
  });

  it('holds up a restore of the same objects by another Checkpoint while it is planned', async () => {
    const where = directory();
    const state = layers((i) => i);
    const path = await new Checkpoint({ layers: state }).write(join(where, 'old'));
    for (const { kernel } of state) kernel!.data[0] = -5;
    const saving = new Checkpoint({ layers: state }).write(join(where, 'new'));
    const restoring = new Checkpoint({ layers: state }).read(path);
    const saved = await saving;
    await restoring;
    expect(state[1]!.kernel!.data[0]).toBe(2);
    const copy = layers(() => 0);
    await new Checkpoint({ layers: copy }).read(saved);
    expect(copy[1]!.kernel!.data[0]).toBe(-5);
  });

  it('is saved anew after its structure has changed', async () => {
    const where = directory();
    const state = layers((i) => i);
    const checkpoint = new Checkpoint({ layers: state });
    await checkpoint.write(join(where, 'a'));
    state[3] = { other: floats(99) };
    const path = await checkpoint.write(join(where, 'b'));
    const restored = layers(() => 0);
    restored[3] = { other: floats(0) };
    (await new Checkpoint({ layers: restored }).read(path)).assertConsumed();
    expect(restored[3]!.other!.data[0]).toBe(99);
    expect(restored[4]!.bias!.data[0]).toBe(9);
  });
});

describe('numbers of objects', () => {
  it('are those that a Map would give, of tensors and of others', () => {
    const objects = Array.from({ length: 3000 }, (_, i) => (i % 3 === 0 ? { i } : floats(i)));
    const numbers = new ObjectNumbers();
    const map = new Map<object, number>();
    for (const [i, object] of objects.entries()) {
      if (i % 7 === 0) continue;
      numbers.set(object, i);
      map.set(object, i);
    }
    numbers.set(objects[1]!, 0);
    map.set(objects[1]!, 0);
    for (const object of [...objects, floats(1), {}]) {
      expect(numbers.get(object)).toBe(map.get(object));
      expect(numbers.has(object)).toBe(map.has(object));
    }
  });
});
