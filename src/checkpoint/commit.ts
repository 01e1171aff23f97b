/**
 * The commit protocol of a save, as the program that native runs to its end without asking back.
 *
 *  0. The temporary index is created, empty. It marks its prefix: whoever finds it after a crash knows that a save of
 *     this prefix was under way, and which data files it may have left.
 *  1. The data files are created under their final names and written. They are new names always (O_EXCL): a prefix
 *     that exists is rewritten under another shard count, so no file in use is ever written to, and without an index
 *     that names them data files mean nothing to any reader. The index, the state file, and the state file as it will
 *     read after the deletions are written to temporary names. All of these are synced together.
 *  2. The directory is synced, and the parent of every directory that this save had to create: the names of the data
 *     files are durable before anything refers to them.
 *  3. The index is renamed into place and its directory synced: **the checkpoint exists** (milestone *indexed*; for
 *     `write()` this is the commit). The rename is the point of no return: aborts are honoured up to here. Where it
 *     replaced an index, readers have switched from the old content to the new in one step.
 *  4. The state file is renamed into place and its directory synced: **committed**, the checkpoint is listed.
 *  5. What retention gives up is deleted: indexes first, a sync of their directories, then their data, so that an
 *     index never outlives its data. So are the data files that a replaced index referred to. Nothing in this part can
 *     fail the save; what can't be deleted is reported as a warning.
 *  6. The state file that no longer lists the deleted ones is renamed into place.
 *
 * With a slash in the checkpoint's name, the index's directory (2, 3) and the state file's (4, 6) differ.
 *
 * What a failure leaves. Before the rename in (3): nothing, native removes every file that the program made. After it,
 * a new prefix is removed again and the state file put back; a replaced prefix keeps its new, whole content, because
 * the old can't be had back. A crash leaves, at every point, the previous checkpoint listed and whole: before (3) the
 * new one has no index; between (3) and (4) it is whole but unlisted.
 */
import { dirname } from 'node:path';
import { type BundlePlan, indexPath } from '../bundle/index.ts';
import type { Blob, SaveProgram, SaveProgramOptions, Step } from '../native/contract.ts';
import { temporaryName } from './temporary-names.ts';

/** A checkpoint's files, as they were listed when the program was composed. */
export interface CheckpointFiles {
  readonly index: string;
  readonly data: readonly string[];
}

/** The state file of a save. */
export interface StatePublication {
  readonly path: string;
  readonly text: string;
  /** What the file held before: put back if the save fails after it was renamed. null: there was none. Undefined: not known. */
  readonly previous?: string | null;
  readonly deletions: readonly CheckpointFiles[];
  /** Its text once the deletions are done. */
  readonly textAfterDeletion?: string;
}

export interface Commit {
  readonly prefix: string;
  readonly plan: BundlePlan;
  /** Data files of the checkpoint that this one replaces; undefined where the prefix is new. */
  readonly replaced?: readonly string[];
  /** All data files of the new checkpoint are those of the plan; the directories made for them, outermost first. */
  readonly createdDirectories: readonly string[];
  readonly state?: StatePublication;
  readonly options: SaveProgramOptions;
}

/** The four barriers, from data that were written to the milestone *committed*. Blob 0 is the index, ready in its temporary file. */
export function commitSteps(
  index: string,
  createdDirectories: readonly string[],
  stateSteps: ReturnType<typeof publication> | undefined,
): Step[] {
  const directory = dirname(index);
  const directories = new Set([directory, ...createdDirectories.map((created) => dirname(created))]);
  return [
    ...(stateSteps?.prepare ?? []),
    { op: 'sync' },
    ...[...directories].map((path): Step => ({ op: 'syncDirectory', path })),
    { op: 'publish', blob: 0, path: index, commits: true },
    { op: 'syncDirectory', path: directory },
    { op: 'milestone', name: 'indexed' },
    ...(stateSteps?.publish ?? []),
    { op: 'milestone', name: 'committed' },
  ];
}

/** The program of a save: see the top of this file. */
export function composeSave(commit: Commit): SaveProgram {
  const { plan, state } = commit;
  const index = indexPath(commit.prefix);
  const blobs: Blob[] = [{ temporaryPath: temporaryName(index), ...plan.index }];
  const stateSteps = state === undefined ? undefined : publication(state, blobs);

  const steps: Step[] = [
    { op: 'create', blob: 0 },
    { op: 'write' },
    { op: 'finish', blob: 0 },
    ...commitSteps(index, commit.createdDirectories, stateSteps),
    ...deletionSteps([...(state?.deletions ?? []), ...replacedFiles(commit)]),
    ...(stateSteps?.publishAgain ?? []),
  ];

  return {
    files: plan.files,
    buffers: plan.buffers,
    taken: plan.taken,
    devices: plan.devices,
    owners: plan.owners,
    extents: plan.extents,
    tensorCount: plan.tensorCount,
    blobs,
    steps,
    undo: commit.replaced === undefined ? undoSteps(commit, index, stateSteps?.putBack ?? []) : [],
    options: commit.options,
  };
}

/**
 * A program that only writes a state file, deletes, and writes the state file again: the second half of a save with
 * write callbacks, and a manager's way to change its state without a save.
 */
export function composeState(state: StatePublication, options: SaveProgramOptions): SaveProgram {
  const blobs: Blob[] = [];
  const { prepare, publish, publishAgain, putBack } = publication(state, blobs);
  const steps: Step[] = [
    ...prepare,
    { op: 'sync' },
    ...commits(publish),
    { op: 'milestone', name: 'committed' },
    ...deletionSteps(state.deletions),
    ...publishAgain,
  ];
  return { ...noData(), blobs, steps, undo: putBack, options };
}

/** A program that removes checkpoints and nothing else. */
export function composeRemoval(checkpoints: readonly CheckpointFiles[], options: SaveProgramOptions): SaveProgram {
  return { ...noData(), blobs: [], steps: deletionSteps(checkpoints), undo: [], options };
}

export interface PublicationSteps {
  readonly prepare: Step[];
  readonly publish: Step[];
  readonly publishAgain: Step[];
  /** After a failure: the state file as it was. */
  readonly putBack: Step[];
}

export function publication(state: StatePublication, blobs: Blob[]): PublicationSteps {
  const directory = dirname(state.path);
  const blob = (text: string): number => {
    blobs.push({ temporaryPath: temporaryName(state.path), bytes: new TextEncoder().encode(text) });
    return blobs.length - 1;
  };
  const first = blob(state.text);
  const prepare: Step[] = [
    { op: 'create', blob: first },
    { op: 'finish', blob: first },
  ];
  const publish: Step[] = [
    { op: 'publish', blob: first, path: state.path },
    { op: 'syncDirectory', path: directory },
  ];
  const publishAgain: Step[] = [];
  if (state.textAfterDeletion !== undefined && state.textAfterDeletion !== state.text) {
    const second = blob(state.textAfterDeletion);
    prepare.push({ op: 'create', blob: second }, { op: 'finish', blob: second });
    publishAgain.push(
      { op: 'publish', blob: second, path: state.path },
      { op: 'syncDirectory', path: directory, optional: true },
    );
  }
  const putBack: Step[] = [];
  if (state.previous === null) {
    putBack.push({ op: 'unlink', path: state.path }, { op: 'syncDirectory', path: directory, optional: true });
  } else if (state.previous !== undefined) {
    const old = blob(state.previous);
    putBack.push(
      { op: 'create', blob: old },
      { op: 'finish', blob: old },
      { op: 'sync' },
      { op: 'publish', blob: old, path: state.path },
      { op: 'syncDirectory', path: directory, optional: true },
    );
  }
  return { prepare, publish, publishAgain, putBack };
}

/** The state file of a program without an index is what commits it. */
function commits(publish: Step[]): Step[] {
  return publish.map((step) => (step.op === 'publish' ? { ...step, commits: true } : step));
}

function replacedFiles(commit: Commit): CheckpointFiles[] {
  // The index was replaced, only its data are left.
  return commit.replaced === undefined || commit.replaced.length === 0 ? [] : [{ index: '', data: commit.replaced }];
}

export function deletionSteps(checkpoints: readonly CheckpointFiles[]): Step[] {
  if (checkpoints.length === 0) return [];
  const indexes = checkpoints.map(({ index }) => index).filter((path) => path !== '');
  const data = checkpoints.flatMap((files) => files.data);
  return [...unlinkAll(indexes), ...unlinkAll(data)];
}

export function unlinkAll(paths: readonly string[]): Step[] {
  return [
    ...paths.map((path): Step => ({ op: 'unlink', path })),
    ...[...new Set(paths.map((path) => dirname(path)))].map(
      (path): Step => ({ op: 'syncDirectory', path, optional: true }),
    ),
  ];
}

/** Takes a new prefix back: the state file first, so that it never names what is gone; then the index, then the data. */
function undoSteps(commit: Commit, index: string, putBack: Step[]): Step[] {
  return [...putBack, ...unlinkAll([index]), ...unlinkAll(commit.plan.files.paths)];
}

export function noData(): Pick<SaveProgram, 'files' | 'buffers' | 'extents' | 'tensorCount'> {
  return {
    files: { paths: [], sizes: new Float64Array() },
    buffers: [],
    extents: {
      kind: new Uint8Array(),
      buffer: new Uint32Array(),
      source: new Float64Array(),
      bytes: new Float64Array(),
      file: new Uint32Array(),
      fileOffset: new Float64Array(),
      tensor: new Uint32Array(),
    },
    tensorCount: 0,
  };
}
