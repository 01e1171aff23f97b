import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { normalizeWriteOptions } from '../../src/checkpoint/options.ts';
import { programOptions } from '../../src/checkpoint/write-plan.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';

const directory = testDirectories();

/** The niceness of the engine's threads, those of the calling process. */
function niceness(): Set<number> {
  const found = new Set<number>();
  for (const thread of readdirSync('/proc/self/task')) {
    const [, name, rest] = /^\d+ \((.*)\) (.*)$/s.exec(readFileSync(`/proc/self/task/${thread}/stat`, 'utf8'))!;
    if (name!.startsWith('tensor-ckpt')) found.add(Number(rest!.split(' ')[16]));
  }
  return found;
}

describe('the priority of a save', () => {
  const background = (priority: 'background' | 'normal' | undefined, bytes: number) =>
    programOptions(normalizeWriteOptions({ priority }, 'save'), bytes).background;

  it('is the background from 64 MiB on, unless the caller says otherwise', () => {
    expect(background(undefined, 2 ** 26)).toBe(true);
    expect(background(undefined, 2 ** 26 - 1)).toBe(false);
    expect(background('normal', 2 ** 40)).toBe(false);
    expect(background('background', 1)).toBe(true);
  });

  it('decides on which threads it runs', async () => {
    const own = getPriority();
    const checkpoint = new Checkpoint({ x: HostTensor.allocate({ dtype: 'float32', shape: [1024] }) });
    await checkpoint.save(join(directory(), 'ckpt'), { priority: 'normal' });
    expect(niceness()).toEqual(new Set([own]));
    await checkpoint.save(join(directory(), 'ckpt'), { priority: 'background' });
    expect(niceness()).toEqual(new Set([own, Math.max(own, 15)]));
    expect(getPriority()).toBe(own);
  });
});
