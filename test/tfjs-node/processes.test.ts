import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { compileChild } from '../support/child.ts';
import { testDirectories } from '../support/directory.ts';
import { describeWithTfjsNode } from '../support/tfjs-node.ts';

const directory = testDirectories();

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  /** What the process said last. */
  readonly result: Record<string, unknown> | undefined;
}

async function run(mode: string, where = directory(), env: Record<string, string> = {}): Promise<Ended> {
  const script = await compileChild(new URL('./process-child.ts', import.meta.url));
  const child = spawn(process.execPath, [script, mode, where], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // The same sums in every process: oneDNN chooses its kernels by the machine's load.
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3', TF_ENABLE_ONEDNN_OPTS: '0', ...env },
  });
  const [output, errors, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null, string | null]>,
  ]);
  if (code !== 0 && code !== 7) process.stderr.write(errors);
  const last = output.split('\n').findLast((line) => line.startsWith('{'));
  return { code, signal, result: last === undefined ? undefined : JSON.parse(last) };
}

describeWithTfjsNode('a process that trains with tfjs-node', () => {
  it('resumes model.fit() with Adam to the bit, from a checkpoint that was written while training went on', async () => {
    const where = directory();
    const straight = await run('straight');
    expect(straight).toMatchObject({ code: 0, signal: null });
    expect((straight.result!.losses as number[]).every(Number.isFinite)).toBe(true);
    await run('first', where);
    expect(await run('second', where)).toEqual(straight);
  });

  it('keeps its number of tensors and its memory over hundreds of saves', async () => {
    const { code, result } = await run('loop');
    expect(code).toBe(0);
    const { before, after } = result as Record<'before' | 'after', { tensors: number; resident: number }>;
    expect(after.tensors).toBe(before.tensors);
    // 300 saves of 640 KiB each: a leak of any of it would be ten times as much.
    expect(after.resident - before.resident).toBeLessThan(20 * 2 ** 20);
  });

  it('saves from several threads at once', async () => {
    expect(await run('workers')).toEqual({ code: 0, signal: null, result: { consistent: [true, true, true] } });
  });

  it('goes on when a thread that borrowed tensors has ended, and the addon is used by no thread for a while', async () => {
    expect(await run('worker-only')).toEqual({ code: 0, signal: null, result: { consistent: [true, true, true] } });
  });

  it.each([0, 5, 30])('survives the end of a worker %i ms after it began to save', async (delay) => {
    expect(await run(`terminate-${delay}`)).toEqual({ code: 0, signal: null, result: { consistent: [true] } });
  });

  it.each([0, 5])('exits as it is told, %i ms after a save began', async (delay) => {
    expect(await run(`exit-${delay}`)).toMatchObject({ code: 7, signal: null });
  });

  it('may have two copies of this package: each has ops of its own', async () => {
    const { code, result } = await run('copies');
    expect(code).toBe(0);
    expect(result).toEqual({
      ops: 2,
      addresses: 1,
      outside: expect.stringContaining('no borrow has begun on this thread'),
    });
  });
});

describeWithTfjsNode('the path that tensors take', () => {
  const rest = { values: [2, 2, 2, 2], text: ['x'] };

  it('is told in the adapter and in the saved event', async () => {
    const { result } = await run('path');
    expect(result).toEqual({ path: 'borrow', pathReason: null, tensorPath: 'borrow', ...rest });
  });

  it.each(['TF_SetOutput', 'TF_NewOpDefinitionBuilder'])(
    'is data() with a TensorFlow that has no %s',
    async (symbol) => {
      const { code, result } = await run('path', directory(), { TENSOR_CHECKPOINT_TENSORFLOW: `without:${symbol}` });
      expect(code).toBe(0);
      const pathReason = expect.stringContaining(`no ${symbol}`);
      expect(result).toEqual({ path: 'data', pathReason, tensorPath: 'data', ...rest });
    },
  );

  it('is data() where the environment says so', async () => {
    const { result } = await run('path', directory(), { TENSOR_CHECKPOINT_TENSORFLOW: 'off' });
    const pathReason = expect.stringContaining('TENSOR_CHECKPOINT_TENSORFLOW is off');
    expect(result).toEqual({ path: 'data', pathReason, tensorPath: 'data', ...rest });
  });
});
