import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTick } from 'node:timers/promises';
import { Checkpoint } from '../../src/checkpoint/checkpoint.ts';
import { Counter } from '../../src/checkpoint/counter.ts';
import type { LoadStatus } from '../../src/checkpoint/load-status.ts';
import { isCheckpointError } from '../../src/errors.ts';
import { CheckpointManager, getCheckpointState, latestCheckpoint } from '../../src/manager/index.ts';
import { changeFiles, walk } from './directory.ts';
import { assign, jsonNumber, make, plain, type Value } from './objects.ts';
import type { ObjectKind, Observation, OpenStep, PlainStep, RestoreStep, SaveStep, Scenario } from './steps.ts';
import { startOfTime } from './steps.ts';

/** What our manager did in a scenario: an observation a step, and for each step the warnings it gave. */
export interface OurRun {
  observations: Observation[];
  warnings: string[][];
  /** For people: the text of each error. */
  errors: string[];
}

/** Steps that may fail: anything else that throws is a fault of the scenario. */
const mayFail = new Set<PlainStep['op']>([
  'open',
  'save',
  'restoreOrInitialize',
  'sync',
  'state',
  'latest',
  'checkpointSave',
  'checkpointWrite',
  'restore',
  'read',
  'set',
]);

/** One scenario through our CheckpointManager. The mirror of `Run` in tf_runner.py. */
class Run {
  readonly root: string;
  readonly warnings: string[] = [];
  #now = startOfTime;
  #manager: CheckpointManager | null = null;
  #checkpoint: Checkpoint | null = null;
  #objects: Record<string, Value> = {};
  #box: Record<string, Value> | null = null;
  #options: SaveOptions = {};
  #status: LoadStatus | null = null;
  #pending = false;
  #initCalls = 0;
  #callbacks: [string | null, string | null][] = [];

  constructor(root: string) {
    this.root = root;
  }

  async do(step: PlainStep): Promise<unknown> {
    switch (step.op) {
      case 'clock':
        this.#now = step.to ?? this.#now + (step.add ?? 0);
        return null;
      case 'open':
        return this.#open(step);
      case 'save':
        return this.#save(step);
      case 'restoreOrInitialize':
        return this.#currentManager().restoreOrInitialize();
      case 'sync':
        this.#pending = false;
        await this.#currentManager().sync();
        return null;
      case 'set':
        assign(this.#object(step.name), step.value);
        return null;
      case 'attach':
        this.#attach(step.name, step.kind);
        await this.#status?.applyDeferred();
        return null;
      case 'assert':
        return this.#assert(step.assert);
      case 'latest':
        return latestCheckpoint(path.join(this.root, step.directory ?? 'run'));
      case 'state':
        return this.#state(path.join(this.root, step.directory ?? 'run'));
      case 'checkpointSave':
        return this.#currentCheckpoint().save(path.join(this.root, step.prefix));
      case 'checkpointWrite':
        return this.#currentCheckpoint().write(path.join(this.root, step.prefix));
      case 'restore':
      case 'read':
        return this.#restore(step);
      case 'deleteManaged':
        this.#deleteManaged(step);
        return null;
      default:
        changeFiles(this.root, step);
        return null;
    }
  }

  async end(): Promise<void> {
    await this.#manager?.close();
  }

  async #open(step: OpenStep): Promise<null> {
    this.#pending = false;
    const before = this.#manager;
    this.#manager = null;
    await before?.close();
    if (!step.sameCheckpoint) this.#makeCheckpoint(step.objects ?? { step: 'counter', value: 'float2' });
    const manager = new CheckpointManager(this.#currentCheckpoint(), {
      directory: path.join(this.root, step.directory ?? 'run'),
      maxToKeep: step.maxToKeep,
      clock: () => this.#now,
      ...(step.everyNHours === undefined ? {} : { keepCheckpointEveryNHours: step.everyNHours }),
      ...(step.name === undefined ? {} : { checkpointName: step.name }),
      ...(step.interval === undefined ? {} : { checkpointInterval: step.interval }),
      ...(step.lastStep === undefined ? {} : { lastCheckpointStep: step.lastStep }),
      ...((step.stepCounter ?? step.interval !== undefined) ? { stepCounter: this.#object('step') as Counter } : {}),
      ...(step.initFn ? { initFn: () => this.#initialize() } : {}),
    });
    manager.on('warning', (warning: unknown) => this.warnings.push(text(warning)));
    this.#manager = manager;
    if (step.settle) await manager.sync();
    return null;
  }

  #makeCheckpoint(kinds: Record<string, ObjectKind>): void {
    this.#objects = {};
    this.#box = null;
    this.#status = null;
    const top: Record<string, unknown> = {};
    for (const [name, kind] of Object.entries(kinds)) {
      if (name === 'box' || name.startsWith('box.')) {
        this.#box ??= {};
        top.box = this.#box;
      }
      if (name.startsWith('box.')) this.#attach(name, kind);
      else if (name !== 'box') {
        const object = make[kind]();
        this.#objects[name] = object;
        top[name] = object;
      }
    }
    this.#checkpoint = new Checkpoint(top as ConstructorParameters<typeof Checkpoint>[0]);
  }

  #attach(name: string, kind: ObjectKind): void {
    const object = make[kind]();
    this.#objects[name] = object;
    if (this.#box !== null) this.#box[name.slice('box.'.length)] = object;
  }

  #initialize(): void {
    this.#initCalls++;
    assign(this.#object('value'), [7, 7]);
  }

  async #save(step: SaveStep): Promise<unknown> {
    const manager = this.#currentManager();
    if (!step.sameOptions) {
      this.#options = {};
      if (step.async) this.#options.enableAsync = true;
      if (step.callbacks) this.#options.writeCallbacks = step.callbacks.map((kind) => this.#callback(kind));
    }
    const before = [...(this.#options.writeCallbacks ?? [])];
    const variable = typeof step.number === 'object' ? new Counter(step.number.counter) : undefined;
    const number = variable ?? step.number;
    this.#pending ||= this.#options.enableAsync === true;
    const saved = await manager.save({
      ...(number === undefined ? {} : { checkpointNumber: number as number | Counter }),
      ...(step.checkInterval === undefined ? {} : { checkInterval: step.checkInterval }),
      ...this.#options,
    });
    const after = this.#options.writeCallbacks ?? [];
    if (after.length !== before.length) throw new Error("save() changed the caller's list of write callbacks");
    return variable ? [saved, variable.value] : saved;
  }

  #callback(kind: 'path' | 'none' | 'throw'): (path: string) => void {
    const note = (path: string | null) => {
      this.#callbacks.push([path, this.#currentManager().latestCheckpoint]);
    };
    if (kind === 'none') return () => note(null);
    if (kind === 'path') return note;
    return (path) => {
      note(path);
      throw new Error('refused');
    };
  }

  async #restore(step: RestoreStep): Promise<unknown> {
    const checkpoint = this.#currentCheckpoint();
    const prefix = step.prefix === null ? null : path.join(this.root, step.prefix);
    this.#status = await (step.op === 'read' ? checkpoint.read(prefix ?? '') : checkpoint.restore(prefix));
    return this.#assert(step.assert ?? []);
  }

  #deleteManaged(step: PlainStep & { op: 'deleteManaged' }): void {
    const { checkpoints, latestCheckpoint } = this.#currentManager();
    const prefix = checkpoints[step.nth];
    if (prefix === undefined || prefix === latestCheckpoint || !existsSync(path.dirname(prefix))) return;
    for (const name of readdirSync(path.dirname(prefix))) {
      const file = path.join(path.dirname(prefix), name);
      const index = file === `${prefix}.index`;
      const data = file.startsWith(`${prefix}.data-`);
      if ((index && step.what !== 'data') || (data && step.what !== 'index')) unlinkSync(file);
    }
  }

  #assert(names: readonly ('consumed' | 'existing' | 'nontrivial')[]): Record<string, string> {
    const status = this.#status;
    if (status === null) throw new Error('nothing was restored');
    const check = {
      consumed: () => status.assertConsumed(),
      existing: () => status.assertExistingObjectsMatched(),
      nontrivial: () => status.assertNontrivialMatch(),
    };
    return Object.fromEntries(
      names.map((name) => {
        try {
          check[name]();
          return [name, 'ok'];
        } catch (error) {
          if (!isCheckpointError(error)) throw error;
          return [name, 'error'];
        }
      }),
    );
  }

  async #state(directory: string): Promise<unknown> {
    const state = await getCheckpointState(directory);
    if (state === null) return null;
    return {
      latest: state.modelCheckpointPath,
      paths: state.allModelCheckpointPaths,
      timestamps: state.allModelCheckpointTimestamps.map(jsonNumber),
      lastPreserved: jsonNumber(state.lastPreservedTimestamp),
    };
  }

  observe(result: unknown): Observation {
    const { files, states } = walk(this.root);
    const unknown = this.#pending;
    const values = Object.fromEntries(Object.entries(this.#objects).map(([name, object]) => [name, plain(object)]));
    const manager = unknown ? null : this.#manager;
    return this.#relative({
      result,
      latest: manager?.latestCheckpoint ?? null,
      checkpoints: manager?.checkpoints ?? null,
      saveCounter: this.#checkpoint?.saveCounter.value ?? null,
      values: Object.keys(values).length > 0 ? values : null,
      initCalls: this.#initCalls,
      callbacks: unknown ? [] : this.#callbacks,
      states: unknown ? {} : states,
      files: unknown ? [] : files,
    }) as Observation;
  }

  #relative(value: unknown): unknown {
    if (typeof value === 'string') {
      if (value === this.root) return '.';
      return value.startsWith(`${this.root}/`)
        ? value.slice(this.root.length + 1)
        : value.replaceAll(this.root, '{dir}');
    }
    if (Array.isArray(value)) return value.map((item) => this.#relative(item));
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#relative(item)]));
    }
    return value;
  }

  #object(name: string): Value {
    const object = this.#objects[name];
    if (!object) throw new Error(`the scenario has no object ${name}`);
    return object;
  }

  #currentManager(): CheckpointManager {
    // As in Python, where the manager that could not be made is None.
    if (this.#manager === null) throw new NoManager();
    return this.#manager;
  }

  #currentCheckpoint(): Checkpoint {
    if (this.#checkpoint === null) throw new NoManager();
    return this.#checkpoint;
  }
}

class NoManager extends Error {}

type SaveOptions = NonNullable<Parameters<CheckpointManager['save']>[0]>;

function text(warning: unknown): string {
  const message = (warning as { message?: unknown }).message;
  return `${typeof message === 'string' ? message : ''} ${JSON.stringify(warning)}`;
}

/** Runs one scenario through our manager. */
export async function runOurs(scenario: Scenario): Promise<OurRun> {
  const root = realpathSync(mkdtempSync(path.join(tmpdir(), 'scenario-')));
  const run = new Run(root);
  const result: OurRun = { observations: [], warnings: [], errors: [] };
  // Warnings of what has no manager to emit them, such as latestCheckpoint().
  const { emitWarning } = process;
  process.emitWarning = (warning: string | Error) => void run.warnings.push(String(warning));
  try {
    for (const [number, step] of scenario.steps.entries()) {
      let value: unknown;
      try {
        value = (await run.do(step)) ?? null;
      } catch (error) {
        // Only errors that are part of the API count as refusals; anything else is a fault of ours.
        const refused = isCheckpointError(error) && error.code !== 'NATIVE_LOAD_FAILED';
        const expected = refused || error instanceof NoManager;
        if (!mayFail.has(step.op) || !expected) {
          throw new Error(`scenario "${scenario.name}", step ${number} ${JSON.stringify(step)}`, { cause: error });
        }
        value = 'error';
        result.errors.push(`step ${number} (${step.op}): ${String(error)}`);
      }
      await nextTick(); // A constructor's warnings come on the next tick.
      result.observations.push(run.observe(value));
      result.warnings.push(run.warnings.splice(0));
    }
    await run.end();
  } finally {
    await run.end().catch(() => {});
    process.emitWarning = emitWarning;
    rmSync(root, { recursive: true, force: true });
  }
  return result;
}
