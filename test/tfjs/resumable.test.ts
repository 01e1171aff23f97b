import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { type Resumable, type ResumableSource, resumable } from '../../src/tfjs/index.ts';
import { compileChild, startChild } from '../support/child.ts';
import { testDirectories } from '../support/directory.ts';

const directory = testDirectories();

beforeAll(async () => {
  await tf.setBackend('cpu');
});

async function run(where: string, death: number) {
  const script = await compileChild(new URL('./resumable-child.ts', import.meta.url));
  const child = startChild(script, [where, String(death)]);
  const [output, [, signal]] = await Promise.all([text(child.stdout!), once(child, 'exit')]);
  const lines = output.split('\n').filter((line) => /^\d+: |^[0-9a-f]{64}$/.test(line));
  return { lines, signal };
}

/** Takes `count` elements, or all of this pass. */
async function take<T>(data: Resumable<T>, count = Number.POSITIVE_INFINITY): Promise<T[]> {
  const taken: T[] = [];
  const iterator = data[Symbol.asyncIterator]();
  while (taken.length < count) {
    const { done, value } = await iterator.next();
    if (done) break;
    taken.push(value);
  }
  return taken;
}

const letters = ['a', 'b', 'c', 'd', 'e'];

async function* asynchronously() {
  yield* letters;
}

/** A cursor over the same source as in another process. */
function restored<T>(from: Resumable<T>, source: ResumableSource<T>): Resumable<T> {
  const fresh = resumable(source);
  fresh.deserialize(from.serialize());
  return fresh;
}

it('a training over a shuffled dataset, killed twice, has seen what one that never died has seen, to the bit', async () => {
  const straight = await run(directory(), 0);
  expect(straight.lines).toHaveLength(21);
  expect(new Set(straight.lines.map((line) => line.slice(3))).size).toBe(21);
  const where = directory();
  const first = await run(where, 8);
  const second = await run(where, 16);
  const last = await run(where, 0);
  expect([first.signal, second.signal]).toEqual(['SIGKILL', 'SIGKILL']);
  // Saved at 6 and at 15: steps 7, 8 and 16 are trained again.
  expect([first.lines.slice(0, 6), second.lines.slice(0, 9), last.lines].flat()).toEqual(straight.lines);
});

describe.each<[string, ResumableSource<string>]>([
  ['an array', letters],
  ['a function that returns an array', () => letters],
  ['an async generator function', asynchronously],
  ['a function that promises an iterable', async () => asynchronously()],
  ['an async iterable', { [Symbol.asyncIterator]: asynchronously }],
  ['a tf.data dataset', tf.data.array(letters) as unknown as ResumableSource<string>],
])('over %s', (_what, source) => {
  it('goes on at the next element after a restore, then begins a new pass', async () => {
    const before = resumable(source);
    expect(await take(before, 2)).toEqual(['a', 'b']);
    expect([before.pass, before.position]).toEqual([0, 2]);
    const after = restored(before, source);
    expect(await take(after)).toEqual(['c', 'd', 'e']);
    expect([after.pass, after.position]).toEqual([1, 0]);
    expect(await take(after)).toEqual(letters);
    expect(after.pass).toBe(2);
  });
});

describe('a cursor', () => {
  it('is saved in a checkpoint, and an iteration under way follows the restore', async () => {
    const batches = resumable(letters);
    const checkpoint = new Checkpoint({ batches });
    const iterator = batches[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.next();
    const prefix = await checkpoint.write(join(directory(), 'cursor'));
    expect([await iterator.next(), await iterator.next()]).toMatchObject([{ value: 'c' }, { value: 'd' }]);
    await checkpoint.read(prefix);
    expect(batches.position).toBe(2);
    expect(await iterator.next()).toMatchObject({ value: 'c' });
  });

  it('begins the next pass where one was left early, and not for an iteration that nothing was read from', async () => {
    const batches = resumable(letters);
    for await (const letter of batches) if (letter === 'c') break;
    batches[Symbol.asyncIterator]();
    expect([batches.pass, batches.position]).toEqual([0, 3]);
    expect(await take(batches, 1)).toEqual(['a']);
    expect([batches.pass, batches.position]).toEqual([1, 1]);
  });

  it('saved behind the last element goes on with the pass after', async () => {
    const before = resumable(letters);
    await take(before, 5);
    expect(before.position).toBe(5);
    const after = restored(before, letters);
    expect(await take(after)).toEqual([]);
    expect([after.pass, await take(after)]).toEqual([1, letters]);
  });

  it('ends the iterator of the source when a loop is left', async () => {
    let isEnded = false;
    const source = async function* () {
      try {
        yield* letters;
      } finally {
        isEnded = true;
      }
    };
    for await (const letter of resumable(source)) if (letter === 'b') break;
    expect(isEnded).toBe(true);
  });

  it("uses the source's own seek, and reads nothing of what lies before", async () => {
    const asked: number[][] = [];
    const seek = (position: number, pass: number) => {
      asked.push([position, pass]);
      return letters.slice(position);
    };
    const source = () => {
      throw new Error('not to be opened');
    };
    const after = resumable<string>(source, { seek });
    after.deserialize(JSON.stringify({ pass: 3, position: 4 }));
    expect([await take(after), await take(after)]).toEqual([['e'], letters]);
    expect(asked).toEqual([
      [4, 3],
      [0, 4],
    ]);
  });

  it('disposes of the tensors that it skips, wherever they are in an element', async () => {
    const source = function* () {
      while (true) yield { xs: [tf.ones([2])], ys: tf.ones([1]), name: 'n', raw: new Float32Array(2) };
    };
    const before = tf.memory().numTensors;
    const after = resumable(source);
    after.deserialize(JSON.stringify({ pass: 0, position: 5 }));
    const [element] = await take(after, 1);
    expect(tf.memory().numTensors).toBe(before + 2);
    tf.dispose([element!.xs, element!.ys]);
  });

  it('draws the order of a seeded shuffle as the process before did, in later passes too', async () => {
    const source = () => tf.data.array(letters).shuffle(5, 'seed') as unknown as ResumableSource<string>;
    const straight = resumable(source());
    const passes = [await take(straight), await take(straight), await take(straight)];
    expect(passes[0]).not.toEqual(passes[2]);
    const after = resumable(source());
    after.deserialize(JSON.stringify({ pass: 2, position: 2 }));
    expect(await take(after)).toEqual(passes[2]!.slice(2));
  });

  it('says so where the source is shorter than what was restored, and where the text is no cursor', async () => {
    const after = resumable(letters);
    after.deserialize(JSON.stringify({ pass: 0, position: 6 }));
    await expect(take(after)).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
    expect(() => after.deserialize('{"pass":-1,"position":0}')).toThrow(expect.objectContaining({ code: 'DATA_LOSS' }));
    expect(() => after.deserialize('{"pass":1}')).toThrow(expect.objectContaining({ code: 'DATA_LOSS' }));
  });

  it('lets only the newest iteration go on', async () => {
    const batches = resumable(letters);
    const first = batches[Symbol.asyncIterator]();
    await first.next();
    await take(batches, 1);
    await expect(first.next()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it.each([[asynchronously()], [letters[Symbol.iterator]()], [null], [5], [{}]])('refuses %s as a source', (source) => {
    expect(() => resumable(source as never)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
