import { join } from 'node:path';
import { Checkpoint, type WriteOptions } from '../../checkpoint/index.ts';
import { CheckpointManager } from '../../manager/index.ts';
import { LinkedDirectory } from '../../manager/linked-directory.ts';
import {
  type Closable,
  callbackFor,
  type FitListener,
  type FittedModel,
  type RawLogs,
  type TensorFlowJsLayers,
} from './callback.ts';
import { fittedAdapters } from './fitted.ts';
import { type Logs, resolveLogs } from './logs.ts';
import { Monitor, type MonitorMode } from './monitor.ts';
import { flag, normalizeOptions, type OptionSpecs, objectsBeside, SAVE_FREQ, WRITE } from './options.ts';
import { isReplaying } from './replay.ts';
import { type Predecessor, predecessorIn, TrainingRecord } from './training-record.ts';

/** Options of {@link modelCheckpoint}: those of Keras's ModelCheckpoint, where they have one. */
export interface ModelCheckpointOptions {
  /** Where the checkpoints are; the best one is also below it, in `best`. */
  directory: string;
  /**
   * The logged value that says how good a model is.
   *
   * @default 'val_loss'
   */
  monitor?: string;
  /**
   * Which way it gets better; `auto`: upwards for names with `acc` or `auc` or that begin with `fmeasure`, else
   * downwards.
   *
   * @default 'auto'
   */
  mode?: MonitorMode;
  /**
   * true: save only what is better than everything before.
   *
   * @default false
   */
  saveBestOnly?: boolean;
  /**
   * Save after each epoch, or each time so many batches have been trained. The batch's logs count then: `monitor` must
   * be one of those (`loss`, `acc`), for there is no validation in the middle of an epoch.
   *
   * @default 'epoch'
   */
  saveFreq?: 'epoch' | number;
  /** What the first value has to be better than, to be called the best. Default: any is. */
  initialValueThreshold?: number;
  /**
   * Checkpoints in the directory; null: all. The best one is kept beside them.
   *
   * @default 5
   */
  maxToKeep?: number | null;
  /**
   * 1: a line on standard output for each checkpoint.
   *
   * @default 0
   */
  verbose?: 0 | 1;
  /** Saved beside the model, under their names: counters, cursors, other models. */
  objects?: Record<string, unknown>;
  /**
   * How to save.
   *
   * @default { enableAsync: true }: training goes on while a checkpoint is written
   */
  write?: WriteOptions;
}

const WHAT = 'modelCheckpoint';

/**
 * A callback that saves the model and its optimizer while they are trained: Keras's ModelCheckpoint.
 *
 * Each checkpoint holds `model` and `training`, a JSON text with the epoch, the batch, the logs and the best value so
 * far. Restore it with `new Checkpoint({ model }, { adapters: [tfjs(tf)] })`, into the Sequential or the functional
 * model. The best checkpoint is saved a second time in `directory/best`, which has a state file of its own, so that
 * retention never reaches it. A training that goes on in the same directory goes on from the best value there, and from
 * the last number. It restores no model: `backupAndRestore` does.
 *
 * @param tf Your own module.
 * @throws CheckpointError INVALID_ARGUMENT naming the option. At the training: what the saves throw, those under way
 *   at its end included.
 * @example
 * ```ts
 * const callback = modelCheckpoint(tf, { directory: './run-1', monitor: 'val_loss', saveBestOnly: true });
 * await model.fit(x, y, { epochs: 20, validationSplit: 0.1, callbacks: [callback] });
 * await new Checkpoint({ model }, { adapters: [tfjs(tf)] }).restore(await latestCheckpoint('./run-1/best'));
 * ```
 */
export function modelCheckpoint<T extends TensorFlowJsLayers>(
  tf: T,
  options: ModelCheckpointOptions,
): InstanceType<T['Callback']> & Closable {
  return callbackFor(tf, WHAT, new ModelCheckpoint(tf, normalizeOptions<Normalized>(WHAT, options, OPTIONS)));
}

type Normalized = Required<Omit<ModelCheckpointOptions, 'initialValueThreshold'>> & {
  initialValueThreshold: number | undefined;
};

const OPTIONS: OptionSpecs<Normalized> = {
  monitor: {
    fallback: 'val_loss',
    expected: 'the name of a logged value',
    fits: (value) => typeof value === 'string' && value !== '',
  },
  mode: {
    fallback: 'auto',
    expected: "'auto', 'min' or 'max'",
    fits: (value) => value === 'auto' || value === 'min' || value === 'max',
  },
  saveBestOnly: flag(false),
  saveFreq: SAVE_FREQ,
  initialValueThreshold: {
    fallback: undefined,
    expected: 'a number',
    fits: (value) => typeof value === 'number' && !Number.isNaN(value),
  },
  // The manager says what it must be.
  maxToKeep: { fallback: 5, expected: 'null or a number', fits: () => true },
  verbose: { fallback: 0, expected: '0 or 1', fits: (value) => value === 0 || value === 1 },
  objects: objectsBeside('model', 'training'),
  write: WRITE,
};

/** What is open during one training. */
interface Session {
  readonly model: FittedModel;
  readonly monitor: Monitor;
  readonly record: TrainingRecord;
  readonly all: CheckpointManager;
  readonly best: LinkedDirectory;
  /** The link of the best checkpoint that is under way. Whoever waits for it is told of its failure. */
  linking: Promise<unknown>;
}

/** Waits for the link under way, and tells of its failure once. */
async function linked(session: Session): Promise<void> {
  const { linking } = session;
  session.linking = Promise.resolve();
  await linking;
}

class ModelCheckpoint implements FitListener {
  readonly #tf: TensorFlowJsLayers;
  readonly #options: Normalized;
  #session: Session | undefined;
  #epoch = 0;
  /** Batches trained since the last save. */
  #batches = 0;
  #hasWarned = false;

  constructor(tf: TensorFlowJsLayers, options: Normalized) {
    this.#tf = tf;
    this.#options = options;
  }

  async trainBegin(model: FittedModel): Promise<void> {
    await this.close();
    const { directory, objects, write, maxToKeep, monitor: name, mode, initialValueThreshold } = this.#options;
    const monitor = new Monitor(name, mode, initialValueThreshold);
    const record = new TrainingRecord();
    const adapters = fittedAdapters(this.#tf, model);
    const checkpoint = new Checkpoint({ ...objects, model, training: record } as never, { adapters });
    const all = new CheckpointManager(checkpoint, { directory, maxToKeep, write });
    try {
      const settings = { directory: join(all.directory, 'best'), maxToKeep: 1, durable: write.durable ?? true };
      const best = new LinkedDirectory(checkpoint, settings, ({ kind, message }) => {
        process.emitWarning(message, { type: 'CheckpointWarning', code: kind });
      });
      this.#session = { model, monitor, record, all, best, linking: best.recover() };
    } catch (error) {
      await all.close();
      throw error;
    }
    await this.#goOn(this.#session);
  }

  async epochBegin(epoch: number): Promise<void> {
    this.#epoch = epoch;
  }

  async batchBegin(): Promise<void> {}

  async batchEnd(batch: number, logs: RawLogs): Promise<void> {
    const { saveFreq } = this.#options;
    const session = this.#session;
    if (session === undefined || typeof saveFreq !== 'number' || isReplaying(session.model)) return;
    this.#batches++;
    if (this.#batches < saveFreq) return;
    this.#batches = 0;
    await this.#save(session, batch, logs);
  }

  async epochEnd(_epoch: number, logs: RawLogs): Promise<void> {
    const session = this.#session;
    if (session === undefined || this.#options.saveFreq !== 'epoch' || isReplaying(session.model)) return;
    await this.#save(session, null, logs);
  }

  async trainEnd(): Promise<void> {
    await this.close();
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    if (session === undefined) return;
    try {
      await linked(session);
    } finally {
      session.best.close();
      await session.all.close();
    }
  }

  /** Goes on with the numbers and the best value of a training before this one. */
  async #goOn(session: Session): Promise<void> {
    const { all, best, monitor, record } = session;
    await linked(session);
    const [latest, before] = [await predecessorIn(all.directory), await predecessorIn(best.directory)];
    const bestIn = (from: Predecessor | null) => (from?.record?.monitor === monitor.name ? from.record.best : null);
    const { saveCounter } = all.checkpoint;
    saveCounter.value = Math.max(saveCounter.value, latest?.number ?? 0, before?.number ?? 0);
    for (const value of [bestIn(before), bestIn(latest)]) if (value !== null) monitor.improve(value);
    record.monitor = monitor.name;
    record.best = monitor.best;
    // A training that died between the two: its latest checkpoint is the best, and not yet among the best.
    const isBest = latest?.record?.logs[monitor.name] === monitor.best && bestIn(latest) === monitor.best;
    if (latest !== null && isBest && bestIn(before) !== monitor.best) await best.link(latest.path, latest.number);
  }

  async #save(session: Session, batch: number | null, raw: RawLogs): Promise<void> {
    const { monitor, record } = session;
    const { saveBestOnly } = this.#options;
    const logs = await resolveLogs(raw);
    const value = logs[monitor.name];
    if (value === undefined && saveBestOnly) this.#warnOfMissing(logs);
    const before = monitor.best;
    const isBetter = value !== undefined && monitor.improve(value);
    if (saveBestOnly && !isBetter) {
      if (value !== undefined) this.#tell(batch, `${monitor.name} did not improve from ${before}`);
      return;
    }
    Object.assign(record, { epoch: this.#epoch, batch, logs, best: monitor.best });
    const path = await this.#saveAndLink(session, isBetter);
    const improved = isBetter ? `${monitor.name} improved from ${before ?? 'none'} to ${value}, ` : '';
    this.#tell(batch, `${improved}saved ${path}`);
  }

  /** Saves; what is the best is linked as soon as it is on the disk, and before another save could delete it. */
  async #saveAndLink(session: Session, isBest: boolean): Promise<string> {
    const { all, best } = session;
    await linked(session);
    const save = all.begin();
    if (save === null) throw new Error('unreachable: without an interval, every save is due');
    const number = all.checkpoint.saveCounter.value;
    const { enableAsync } = this.#options.write;
    // Whoever takes this promise is the one who is told of a failure; else the next save is, or the end.
    const committed = isBest || !enableAsync ? save.committed : undefined;
    await save.captured;
    if (isBest) {
      session.linking = committed!.then((path) => best.link(path, number));
      session.linking.catch(() => {});
    }
    if (!enableAsync) {
      await committed;
      await linked(session);
    }
    return save.path;
  }

  #tell(batch: number | null, what: string): void {
    if (this.#options.verbose === 0) return;
    console.log(`Epoch ${this.#epoch + 1}${batch === null ? '' : `, batch ${batch + 1}`}: ${what}`);
  }

  #warnOfMissing(logs: Logs): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    const message = `${WHAT}: nothing is saved, since '${this.#options.monitor}' isn't logged. Logged: ${Object.keys(logs).join(', ')}.`;
    process.emitWarning(message, { type: 'CheckpointWarning', code: 'monitor' });
  }
}
