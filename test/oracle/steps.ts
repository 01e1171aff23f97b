/**
 * The language of the scenarios: what a program may do with a CheckpointManager and its directory, and what can be
 * seen after each step. Two runners speak it: tf_runner.py (TensorFlow's manager) and our-runner.ts (ours).
 *
 * Every scenario has a directory of its own; all paths are relative to it, and the manager's directory is `run` in it
 * unless `open` says otherwise. Times are milliseconds; the clock stands still until a `clock` step moves it, and
 * starts at `startOfTime`.
 */
export const startOfTime = 1_000_000_000;

/** What a name in the checkpoint holds: an int64 scalar, float32 of 2 or 3 elements, int32 of 2. */
export type ObjectKind = 'counter' | 'float2' | 'float3' | 'int2';

export interface OpenStep {
  op: 'open';
  maxToKeep: number | null;
  everyNHours?: number;
  name?: string;
  interval?: number;
  /** Pass the object `step` as the step counter. Defaults to whether `interval` is given. */
  stepCounter?: boolean;
  lastStep?: number;
  /** `init_fn`: sets `value` to [7, 7] and is counted. */
  initFn?: boolean;
  directory?: string;
  /** Keep the Checkpoint of the manager before, as a program that makes a second manager would. */
  sameCheckpoint?: boolean;
  /** Wait until what an opening does in the background is done (ours cleans up, point 28), so that files are certain. */
  settle?: boolean;
  /** Names and kinds in the Checkpoint; `box.x` is in a nested object. Default: step (counter), value (float2). */
  objects?: Record<string, ObjectKind>;
}

export interface SaveStep {
  op: 'save';
  /** `{ counter }` passes a variable of that value. Strings and fractions are there to be refused. */
  number?: number | string | { counter: number };
  checkInterval?: boolean;
  async?: boolean;
  /** User write callbacks: they note the path, nothing, or throw. */
  callbacks?: readonly ('path' | 'none' | 'throw')[];
  /** Pass the very options object of the save before. */
  sameOptions?: boolean;
}

export interface RestoreStep {
  op: 'restore' | 'read';
  /** null: `restore(None)`. */
  prefix: string | null;
  /** Assertions to try on the status; the result says which hold. */
  assert?: readonly ('consumed' | 'existing' | 'nontrivial')[];
}

export type PlainStep =
  | { op: 'clock'; to?: number; add?: number }
  | OpenStep
  | SaveStep
  | { op: 'restoreOrInitialize' }
  | { op: 'sync' }
  /** Assigns to an object of the checkpoint. */
  | { op: 'set'; name: string; value: number | readonly number[] }
  /** An object that appears after a restore. */
  | { op: 'attach'; name: string; kind: ObjectKind }
  /** Repeats the assertions on the status of the last restore. */
  | { op: 'assert'; assert: readonly ('consumed' | 'existing' | 'nontrivial')[] }
  | { op: 'latest'; directory?: string }
  /** get_checkpoint_state. */
  | { op: 'state'; directory?: string }
  | { op: 'checkpointSave' | 'checkpointWrite'; prefix: string }
  | RestoreStep
  /** Behind the manager's back. `{dir}` in a text stands for the scenario's directory. */
  | { op: 'file'; path: string; text?: string; base64?: string }
  | { op: 'delete'; paths: readonly string[] }
  | { op: 'directory'; path: string }
  /** Sets when a file was last written. */
  | { op: 'touch'; path: string; time: number }
  /** Deletes files of the nth managed checkpoint (in both: of what its own manager lists), unless it is the latest. */
  | { op: 'deleteManaged'; nth: number; what: 'index' | 'data' | 'all' }
  /** Turns over one bit of the byte in the middle of a file. */
  | { op: 'damage'; path: string };

/** What is seen after a step. Paths are relative to the scenario's directory, `error` stands for any exception. */
export interface Observation {
  result: unknown;
  /** `manager.latest_checkpoint`; null also where no manager could be made. */
  latest: string | null;
  checkpoints: readonly string[] | null;
  saveCounter: number | null;
  values: Record<string, number | readonly number[]> | null;
  initCalls: number;
  /** What the user's write callbacks were given, and the manager's latest at that time. */
  callbacks: readonly (readonly [path: string | null, latest: string | null])[];
  /** Every state file (a file called `checkpoint`), byte for byte (as Latin-1). */
  states: Record<string, string>;
  /** All files and directories (these end in `/`), sorted. */
  files: readonly string[];
}

/**
 * Where we mean to differ: the point of manager-behaviour that says so, and what is seen of ours instead. It has to
 * differ from TensorFlow: an exception that isn't one fails the test.
 */
export interface Exception {
  point: number;
  /** Ours must emit a warning during this step, with this in its text. */
  warns?: string;
  expect?: Partial<Observation>;
}

export type Step = PlainStep & { ours?: Exception };

export interface Scenario {
  name: string;
  /** Points of manager-behaviour that this scenario reaches. */
  points: readonly number[];
  steps: readonly Step[];
}
