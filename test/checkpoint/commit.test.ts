import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BundlePlan } from '../../src/bundle/index.ts';
import { type Commit, composeRemoval, composeSave, composeState } from '../../src/checkpoint/commit.ts';
import type { SaveProgram, Step } from '../../src/native/contract.ts';
import { contentOf, held } from '../support/native-bytes.ts';

const options = { threads: 0, stagingBytes: 1 << 20, copy: false, durable: true, direct: true, progress: false };

function plan(paths: string[]): BundlePlan {
  const none = new Float64Array();
  return {
    prefix: '',
    files: { paths, sizes: new Float64Array(paths.length) },
    buffers: [],
    extents: {
      kind: new Uint8Array(),
      buffer: new Uint32Array(),
      source: none,
      bytes: none,
      file: new Uint32Array(),
      fileOffset: none,
      tensor: new Uint32Array(),
    },
    tensorCount: 0,
    index: {
      bytes: held(Buffer.from(`index of ${paths.join(' ')}`)),
      values: { position: none, value: new Uint32Array() },
      patches: { position: none, tensor: new Uint32Array() },
      seals: { start: none, length: none, position: none },
    },
    byteLength: 0,
    shardCount: paths.length,
    keyOf: () => '',
    free: () => {},
  };
}

/**
 * A disk: what programs see, and what a power cut leaves. The worst case of both: a name or its removal is durable
 * only after a sync of its directory, content only after a sync of the file, and renames may become durable early.
 */
class Disk {
  readonly seen = new Map<string, File>();
  /** Per name: states that a power cut may leave it in; the last is what is seen. */
  readonly possible = new Map<string, (File | undefined)[]>();

  constructor(files: Record<string, string>) {
    for (const [name, text] of Object.entries(files)) {
      const file = { text, durable: text };
      this.seen.set(name, file);
      this.possible.set(name, [file]);
    }
  }

  put(name: string, file: File | undefined): void {
    if (file === undefined) this.seen.delete(name);
    else this.seen.set(name, file);
    this.possible.set(name, [...(this.possible.get(name) ?? [undefined]), file]);
  }

  syncDirectory(path: string): void {
    for (const [name, states] of this.possible) if (dirname(name) === path) states.splice(0, states.length - 1);
  }

  /** Every combination would be too many; each name alone in each state, and all in their oldest, are enough here. */
  *afterPowerCut(): Generator<Map<string, string>> {
    const at = (choose: (name: string, states: (File | undefined)[]) => File | undefined) => {
      const left = new Map<string, string>();
      for (const [name, states] of this.possible) {
        const file = choose(name, states);
        if (file !== undefined) left.set(name, file.durable);
      }
      return left;
    };
    yield at((_, states) => states[0]);
    yield at((_, states) => states.at(-1));
    for (const name of this.possible.keys()) {
      yield at((other, states) => (other === name ? states.at(-1) : states[0]));
      yield at((other, states) => (other === name ? states[0] : states.at(-1)));
    }
  }
}

interface File {
  text: string;
  durable: string;
}

function* execute(program: SaveProgram, disk: Disk, steps: readonly Step[] = program.steps): Generator<Step> {
  const unsynced: File[] = [];
  for (const step of steps) {
    if (step.op === 'create') disk.put(program.blobs[step.blob]!.temporaryPath, { text: '', durable: '' });
    if (step.op === 'write') {
      for (const path of program.files.paths) {
        expect(disk.seen.has(path), `${path} is created with O_EXCL`).toBe(false);
        const file = { text: 'data', durable: 'torn' };
        unsynced.push(file);
        disk.put(path, file);
      }
    }
    if (step.op === 'finish') {
      const file = disk.seen.get(program.blobs[step.blob]!.temporaryPath)!;
      file.text = new TextDecoder().decode(contentOf(program.blobs[step.blob]!.bytes));
      unsynced.push(file);
    }
    if (step.op === 'sync') for (const file of unsynced.splice(0)) file.durable = file.text;
    if (step.op === 'publish') {
      const from = program.blobs[step.blob]!.temporaryPath;
      const file = disk.seen.get(from)!;
      disk.put(step.path, file);
      disk.put(from, undefined);
    }
    if (step.op === 'unlink') disk.put(step.path, undefined);
    if (step.op === 'syncDirectory') disk.syncDirectory(step.path);
    yield step;
  }
}

/** Whether the index under this prefix is whole, and all data that it refers to. */
function isWhole(files: ReadonlyMap<string, string>, prefix: string): boolean {
  const index = files.get(`${prefix}.index`);
  if (!index?.startsWith('index of ')) return false;
  return index
    .slice('index of '.length)
    .split(' ')
    .every((path) => files.get(path) === 'data');
}

const before = {
  '/d/ckpt-1.index': 'index of /d/ckpt-1.data-00000-of-00001',
  '/d/ckpt-1.data-00000-of-00001': 'data',
  '/d/ckpt-2.index': 'index of /d/ckpt-2.data-00000-of-00001',
  '/d/ckpt-2.data-00000-of-00001': 'data',
  '/d/checkpoint': '/d/ckpt-1 /d/ckpt-2',
};

const save: Commit = {
  prefix: '/d/ckpt-3',
  plan: plan(['/d/ckpt-3.data-00000-of-00002', '/d/ckpt-3.data-00001-of-00002']),
  createdDirectories: [],
  state: {
    path: '/d/checkpoint',
    text: '/d/ckpt-1 /d/ckpt-2 /d/ckpt-3',
    previous: before['/d/checkpoint'],
    deletions: [{ index: '/d/ckpt-1.index', data: ['/d/ckpt-1.data-00000-of-00001'] }],
    textAfterDeletion: '/d/ckpt-2 /d/ckpt-3',
  },
  options,
};

const replace: Commit = {
  ...save,
  prefix: '/d/ckpt-2',
  plan: plan(['/d/ckpt-2.data-00000-of-00002', '/d/ckpt-2.data-00001-of-00002']),
  replaced: ['/d/ckpt-2.data-00000-of-00001'],
  state: { path: '/d/checkpoint', text: '/d/ckpt-1 /d/ckpt-2', deletions: [] },
};

describe('the program of a save', () => {
  it.each([
    ['a new checkpoint', save],
    ['a replaced checkpoint', replace],
  ])('%s: whatever a power cut leaves, the newest that is listed is whole', (_, commit) => {
    const disk = new Disk(before);
    const program = composeSave(commit);
    let cuts = 0;
    for (const step of execute(program, disk)) {
      for (const left of disk.afterPowerCut()) {
        cuts++;
        const state = left.get('/d/checkpoint');
        expect(state, JSON.stringify(step)).toMatch(/ckpt/);
        const newest = state!.split(' ').at(-1)!;
        expect(isWhole(left, newest), `${newest} after ${JSON.stringify(step)}`).toBe(true);
      }
    }
    expect(cuts).toBeGreaterThan(100);
  });

  it('leaves, when it is through, what it should: no temporary file, no data of what it deleted or replaced', () => {
    const disk = new Disk(before);
    for (const _ of execute(composeSave(save), disk));
    expect([...disk.seen.keys()].sort()).toEqual([
      '/d/checkpoint',
      '/d/ckpt-2.data-00000-of-00001',
      '/d/ckpt-2.index',
      '/d/ckpt-3.data-00000-of-00002',
      '/d/ckpt-3.data-00001-of-00002',
      '/d/ckpt-3.index',
    ]);
    expect(disk.seen.get('/d/checkpoint')!.text).toBe('/d/ckpt-2 /d/ckpt-3');
    for (const _ of execute(composeSave(replace), disk));
    expect(disk.seen.has('/d/ckpt-2.data-00000-of-00001')).toBe(false);
    expect(isWhole(new Map([...disk.seen].map(([name, { text }]) => [name, text])), '/d/ckpt-2')).toBe(true);
  });

  it('marks its prefix before anything else, and commits with the index alone', () => {
    const program = composeSave(save);
    expect(program.steps[0]).toEqual({ op: 'create', blob: 0 });
    expect(program.blobs[0]!.temporaryPath).toMatch(/^\/d\/ckpt-3\.index\.tmp-/);
    const commits = program.steps.filter((step) => step.op === 'publish' && step.commits);
    expect(commits).toEqual([{ op: 'publish', blob: 0, path: '/d/ckpt-3.index', commits: true }]);
  });

  it('lets nothing behind the commit fail it, but for the last rename', () => {
    const { steps } = composeSave(save);
    const committed = steps.findIndex((step) => step.op === 'milestone' && step.name === 'committed');
    for (const step of steps.slice(committed + 1)) {
      expect(step.op === 'unlink' || step.op === 'publish' || (step.op === 'syncDirectory' && step.optional)).toBe(
        true,
      );
    }
  });

  it('undone after the index was renamed: a new prefix is gone and the state file is what it was', () => {
    const disk = new Disk(before);
    const program = composeSave(save);
    for (const step of execute(program, disk)) {
      if (step.op === 'publish' && step.path === '/d/checkpoint') break;
    }
    for (const _ of execute(program, disk, program.undo)) {
      for (const left of disk.afterPowerCut()) {
        const newest = left.get('/d/checkpoint')!.split(' ').at(-1)!;
        expect(isWhole(left, newest), newest).toBe(true);
      }
    }
    const temporary = [...disk.seen.keys()].filter((name) => name.includes('.tmp-'));
    for (const name of temporary) disk.seen.delete(name); // Native's part.
    expect(Object.fromEntries([...disk.seen].map(([name, { text }]) => [name, text]))).toEqual(before);
  });

  it('undone where there was no state file: there is none again', () => {
    const program = composeSave({ ...save, state: { ...save.state!, previous: null } });
    expect(program.undo[0]).toEqual({ op: 'unlink', path: '/d/checkpoint' });
  });

  it('never undoes a replaced prefix: its old content can not be had back', () => {
    expect(composeSave(replace).undo).toEqual([]);
  });

  it('syncs the parent of every directory that was made for it', () => {
    const { steps } = composeSave({
      ...save,
      prefix: '/d/new/sub/ckpt-1',
      createdDirectories: ['/d/new', '/d/new/sub'],
    });
    const published = steps.findIndex((step) => step.op === 'publish');
    const synced = steps.slice(0, published).flatMap((step) => (step.op === 'syncDirectory' ? [step.path] : []));
    expect(synced.sort()).toEqual(['/d', '/d/new', '/d/new/sub']);
  });

  it('syncs data, index and state file together', () => {
    const { steps } = composeSave(save);
    expect(steps.filter((step) => step.op === 'sync')).toHaveLength(1);
  });
});

describe('a state file alone', () => {
  it('commits with its rename, and puts the old one back if it fails behind that', () => {
    const program = composeState(save.state!, options);
    expect(program.steps.find((step) => step.op === 'publish')).toMatchObject({ commits: true });
    const disk = new Disk(before);
    for (const step of execute(program, disk)) if (step.op === 'publish') break;
    for (const _ of execute(program, disk, program.undo));
    expect(disk.seen.get('/d/checkpoint')!.text).toBe(before['/d/checkpoint']);
  });
});

describe('a removal', () => {
  it('takes the index before its data, with a sync between', () => {
    const files = { index: '/d/ckpt-1.index', data: ['/d/ckpt-1.data-00000-of-00001'] };
    expect(composeRemoval([files], options).steps).toEqual([
      { op: 'unlink', path: files.index },
      { op: 'syncDirectory', path: '/d', optional: true },
      { op: 'unlink', path: files.data[0] },
      { op: 'syncDirectory', path: '/d', optional: true },
    ]);
  });
});
