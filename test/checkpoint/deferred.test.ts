import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Adapter, Checkpoint, Counter, type StoredNode, type TrackableNode } from '../../src/checkpoint/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { filesIn, testDirectories } from '../support/directory.ts';

const directory = testDirectories();

const floats = (...data: number[]) =>
  new HostTensor({ dtype: 'float32', shape: [data.length], data: new Float32Array(data) });
const first = (tensor: unknown) => (tensor as HostTensor<'float32'>).data[0];

/** An optimizer whose slots come into being with its first step, or when a restore tells it of them. */
class Optimizer {
  readonly variables: HostTensor[];
  readonly slots = new Map<HostTensor, HostTensor>();
  readonly restoredSlots: number[] = [];
  lazy = true;

  constructor(variables: HostTensor[]) {
    this.variables = variables;
  }

  step(value: number): void {
    for (const variable of this.variables) if (!this.slots.has(variable)) this.slots.set(variable, floats(value));
  }
}

const adapter: Adapter = {
  name: 'test',
  adapt: (value) => (value instanceof Optimizer ? optimizerNode(value) : undefined),
};

function optimizerNode(optimizer: Optimizer): TrackableNode {
  return {
    identity: optimizer,
    description: 'Optimizer',
    *slots() {
      for (const [variable, slot] of optimizer.slots) yield { variable, name: 'm', slot };
    },
    beforeRestore(_: StoredNode) {
      if (!optimizer.lazy) optimizer.step(0);
    },
    afterRestore() {
      optimizer.restoredSlots.push(optimizer.slots.size);
    },
  };
}

describe('35: a restore before an object exists', () => {
  it('is applied when it has appeared, on applyDeferred', async () => {
    const path = await new Checkpoint({ a: floats(1), late: { x: floats(2) } }).write(join(directory(), 'x'));
    const objects: Record<string, unknown> = { a: floats(0) };
    const status = await new Checkpoint(objects).read(path);
    status.assertExistingObjectsMatched();
    objects.late = { x: floats(0) };
    // An object that has appeared counts as unmatched until it is restored.
    expect(() => status.assertExistingObjectsMatched()).toThrow(/late\/x/);
    expect(status.unmatchedKeys).toEqual(['late/x/.ATTRIBUTES/VARIABLE_VALUE']);
    await status.applyDeferred();
    status.assertConsumed();
    expect(first((objects.late as { x: unknown }).x)).toBe(2);
    // Once only: what was trained since must not be reset.
    (objects.late as { x: HostTensor<'float32'> }).x.data[0] = 5;
    await status.applyDeferred();
    expect(first((objects.late as { x: unknown }).x)).toBe(5);
  });

  it('finds its key in an index that has been replaced meanwhile, and whose rows are others', async () => {
    const prefix = join(directory(), 'x');
    await new Checkpoint({ a: floats(1), late: floats(2) }).write(prefix);
    const objects: Record<string, unknown> = { a: floats(0) };
    const status = await new Checkpoint(objects).read(prefix);
    await new Checkpoint({ a: floats(1), b: floats(3), c: floats(4), late: floats(5) }).write(prefix);
    objects.late = floats(0);
    await status.applyDeferred();
    expect(first(objects.late)).toBe(5);
  });

  it('is applied by the next save first, so that a fresh value never overwrites one not yet restored', async () => {
    const where = directory();
    const path = await new Checkpoint({ a: floats(1), late: floats(2) }).save(join(where, 'ckpt'));
    const objects: Record<string, unknown> = { a: floats(0) };
    const checkpoint = new Checkpoint(objects);
    const status = await checkpoint.restore(path);
    objects.late = floats(-1);
    const next = await checkpoint.save(join(where, 'ckpt'));
    status.assertConsumed();
    const late = floats(0);
    await new Checkpoint({ a: floats(0), late }).restore(next);
    expect(first(late)).toBe(2);
  });

  it('reaches slots that an optimizer creates with its first step', async () => {
    const where = directory();
    const v = floats(1);
    const optimizer = new Optimizer([v]);
    optimizer.step(7);
    const adapters = [adapter];
    const path = await new Checkpoint({ v, optimizer }, { adapters }).write(join(where, 'x'));

    const fresh = floats(0);
    const later = new Optimizer([fresh]);
    const checkpoint = new Checkpoint({ v: fresh, optimizer: later }, { adapters });
    const status = await checkpoint.read(path);
    expect(status.unmatchedKeys).toEqual(['v/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE']);
    later.step(-1);
    expect(status.unmatchedObjects).toEqual(['v/.OPTIMIZER_SLOT/optimizer/m']);
    await status.applyDeferred();
    status.assertConsumed();
    expect(first(later.slots.get(fresh))).toBe(7);
    // Told once all that lies below it was assigned.
    expect(later.restoredSlots).toEqual([1]);
  });

  it('reaches slots at once where the optimizer can create them when it hears of them', async () => {
    const where = directory();
    const v = floats(1);
    const optimizer = new Optimizer([v]);
    optimizer.step(7);
    const adapters = [adapter];
    const path = await new Checkpoint({ v, optimizer }, { adapters }).write(join(where, 'x'));
    const fresh = floats(0);
    const eager = new Optimizer([fresh]);
    eager.lazy = false;
    (await new Checkpoint({ v: fresh, optimizer: eager }, { adapters }).read(path)).assertConsumed();
    expect(first(eager.slots.get(fresh))).toBe(7);
  });

  it('never overwrites what a newer restore has brought', async () => {
    const where = directory();
    const old = await new Checkpoint({ a: floats(1), late: floats(1), only: floats(1) }).write(join(where, 'old'));
    const newer = await new Checkpoint({ a: floats(2), late: floats(2) }).write(join(where, 'new'));
    const objects: Record<string, unknown> = { a: floats(0) };
    const checkpoint = new Checkpoint(objects);
    const oldStatus = await checkpoint.read(old);
    objects.late = floats(0);
    await checkpoint.read(newer);
    objects.only = floats(0);
    await oldStatus.applyDeferred();
    expect([first(objects.a), first(objects.late), first(objects.only)]).toEqual([2, 2, 1]);
  });

  it('that can no longer be applied fails the next save once, and names what is lost', async () => {
    const where = directory();
    const path = await new Checkpoint({ a: floats(1), late: floats(2) }).write(join(where, 'x'));
    const objects: Record<string, unknown> = { a: floats(0) };
    const checkpoint = new Checkpoint(objects);
    await checkpoint.read(path);
    for (const name of filesIn(where)) rmSync(join(where, name));
    objects.late = floats(-1);
    const error = await checkpoint.save(join(where, 'ckpt')).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'NOT_FOUND' });
    expect(error.message).toMatch(/still to be restored.*Nothing was saved/);
    expect(checkpoint.saveCounter.value).toBe(0);
    expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-1'));
  });

  it('with a shape that does not fit leaves the object as it is', async () => {
    const path = await new Checkpoint({ late: floats(1, 2) }).write(join(directory(), 'x'));
    const objects: Record<string, unknown> = {};
    const status = await new Checkpoint(objects).read(path);
    objects.late = floats(9);
    await expect(status.applyDeferred()).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    expect(first(objects.late)).toBe(9);
  });
});

describe('a restore that is given up', () => {
  it('because of its signal changes nothing that is handed over', async () => {
    const path = await new Checkpoint({ n: new Counter(5) }).write(join(directory(), 'x'));
    const n = new Counter(1);
    const checkpoint = new Checkpoint({ n });
    const error = await checkpoint.read(path, { signal: AbortSignal.abort('why') }).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'ABORTED', cause: 'why' });
    expect(n.value).toBe(1);
    (await checkpoint.read(path)).assertConsumed();
  });

  it('because an object refuses its value says which were given theirs', async () => {
    const where = directory();
    const state = (text: string) => ({
      serialize: () => text,
      deserialize() {
        throw new Error('unknown version');
      },
    });
    const path = await new Checkpoint({ a: new Counter(5), b: state('x') }).write(join(where, 'x'));
    const error = await new Checkpoint({ a: new Counter(), b: state('') }).read(path).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(/unknown version/) });
    expect(error.overwritten).toContain('a/.ATTRIBUTES/VARIABLE_VALUE');
  });

  it('because a stored number does not fit says so', async () => {
    const data = new BigInt64Array([2n ** 60n]);
    const path = await new Checkpoint({ n: new HostTensor({ dtype: 'int64', shape: [], data }) }).write(
      join(directory(), 'x'),
    );
    await expect(new Checkpoint({ n: new Counter() }).read(path)).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
  });
});

describe('objects that are told of a restore', () => {
  it('afterRestore comes once, children first, and only where something below was assigned', async () => {
    const order: string[] = [];
    class Part {
      readonly name: string;
      readonly parts: Record<string, unknown>;
      constructor(name: string, parts: Record<string, unknown>) {
        this.name = name;
        this.parts = parts;
      }
    }
    const adapters: Adapter[] = [
      {
        name: 'parts',
        adapt: (value) =>
          value instanceof Part
            ? {
                identity: value,
                description: value.name,
                children: () => Object.entries(value.parts),
                afterRestore: async () => void order.push(value.name),
              }
            : undefined,
      },
    ];
    const make = (value: number) => {
      const inner = new Part('inner', { x: floats(value) });
      return { outer: new Part('outer', { inner, again: inner }), empty: new Part('empty', {}), n: new Counter(value) };
    };
    const path = await new Checkpoint(make(3), { adapters }).write(join(directory(), 'x'));
    (await new Checkpoint(make(0), { adapters }).read(path)).assertConsumed();
    expect(order).toEqual(['inner', 'outer']);
  });

  it('a replaced value is handed over after all was verified', async () => {
    const got: unknown[] = [];
    class Box {
      value = floats(1);
    }
    const box = new Box();
    const adapters: Adapter[] = [
      {
        name: 'boxes',
        adapt: (value) =>
          value instanceof Box
            ? {
                identity: value,
                description: 'Box',
                values: () => [
                  {
                    attribute: 'VARIABLE_VALUE',
                    dtype: 'float32',
                    shape: [1],
                    anyShape: true,
                    capture: () => ({ source: { kind: 'memory', bytes: box.value.bytes } }),
                    destination: { kind: 'replace', assign: async (tensor) => void got.push(tensor) },
                  },
                ],
              }
            : undefined,
      },
    ];
    for (const atomic of [undefined, true, false]) {
      const path = await new Checkpoint({ box: floats(4, 5, 6) }).write(join(directory(), 'x'));
      (await new Checkpoint({ box }, { adapters }).read(path, { atomic })).assertConsumed();
      const tensor = got.pop() as HostTensor<'float32'>;
      expect([tensor.dtype, [...tensor.shape], [...tensor.data]]).toEqual(['float32', [3], [4, 5, 6]]);
    }
  });
});
