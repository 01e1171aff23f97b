import { Checkpoint, type WriteOptions } from '../../checkpoint/index.ts';
import { CheckpointManager, type SignalSaver, saveOnSignal } from '../../manager/index.ts';
import type { TfTensor } from '../types.ts';
import {
  type Closable,
  callbackFor,
  type FitListener,
  type FitParams,
  type FittedModel,
  type RawLogs,
  type TensorFlowJsLayers,
} from './callback.ts';
import { FitState } from './fit-state.ts';
import { fittedAdapters } from './fitted.ts';
import { disposeLogs, KeptLogs, resolveLogs } from './logs.ts';
import { flag, normalizeOptions, type OptionSpecs, objectsBeside, SAVE_FREQ, WRITE } from './options.ts';
import { removeBackup } from './remove-backup.ts';
import { replayStep, setReplaying } from './replay.ts';

/** Options of {@link backupAndRestore}: those of Keras's BackupAndRestore, and more. */
export interface BackupAndRestoreOptions {
  /** Where the backup is; for nothing else. */
  directory: string;
  /**
   * Save after each epoch, or each time so many batches have been trained.
   *
   * @default 'epoch'
   */
  saveFreq?: 'epoch' | number;
  /**
   * Delete the backup when the training has come to its end.
   *
   * @default true
   */
  deleteCheckpoint?: boolean;
  /**
   * Signals at which it saves, after the batch that is being trained, and then lets the process end.
   *
   * @default [], none
   */
  signals?: readonly NodeJS.Signals[];
  /**
   * Seconds from such a signal to the end of the process, saved or not.
   *
   * @default 25
   */
  deadlineSeconds?: number;
  /** Saved and restored beside the model, under their names. */
  objects?: Record<string, unknown>;
  /**
   * How to save.
   *
   * @default { enableAsync: true }: training goes on while a backup is written
   */
  write?: WriteOptions;
}

const WHAT = 'backupAndRestore';

/**
 * A callback by which the same `model.fit()`, or `fitDataset()`, called again in a new process goes on at the epoch and
 * batch where the old one died: Keras's BackupAndRestore.
 *
 * Epochs and batches that are trained already go by without being computed, and the callbacks behind this one are told
 * of them with the logs that they had then: what `fit()` returns, and when EarlyStopping stops, is as if nothing had
 * happened. Put it first in the list. With `fit()` the data must come in the same order, `shuffle: false`, to go on in
 * the middle of an epoch; at the beginning of one any order will do. `fitDataset()` reads the batches that go by. One
 * batch of every epoch that goes by is logged, as zeros, by callbacks that stand before this one.
 *
 * Once the training is at its end, `stopTraining` included, the backup is deleted.
 *
 * @param tf Your own module.
 * @throws CheckpointError INVALID_ARGUMENT naming the option. At the training: what saving and restoring throw.
 * @example
 * ```ts
 * await model.fit(x, y, {
 *   epochs: 50,
 *   shuffle: false,
 *   callbacks: [backupAndRestore(tf, { directory: './backup', saveFreq: 100, signals: ['SIGTERM'] })],
 * });
 * ```
 */
export function backupAndRestore<T extends TensorFlowJsLayers>(
  tf: T,
  options: BackupAndRestoreOptions,
): InstanceType<T['Callback']> & Closable {
  return callbackFor(tf, WHAT, new BackupAndRestore(tf, normalizeOptions<Normalized>(WHAT, options, OPTIONS)));
}

type Normalized = Required<BackupAndRestoreOptions>;

const OPTIONS: OptionSpecs<Normalized> = {
  saveFreq: SAVE_FREQ,
  deleteCheckpoint: flag(true),
  signals: { fallback: [], expected: 'a list of signals', fits: Array.isArray },
  deadlineSeconds: {
    fallback: 25,
    expected: 'a number of seconds above 0',
    fits: (value) => typeof value === 'number' && value > 0,
  },
  objects: objectsBeside('model', 'fit'),
  write: WRITE,
};

/** What is open during one training. */
interface Session {
  readonly model: FittedModel;
  readonly params: FitParams;
  readonly state: FitState;
  readonly manager: CheckpointManager;
  readonly preemption: SignalSaver | undefined;
  /** Where the training goes on: everything before goes by. */
  readonly from: { readonly epoch: number; readonly batch: number };
}

class BackupAndRestore implements FitListener {
  readonly #tf: TensorFlowJsLayers;
  readonly #options: Normalized;
  #session: Session | undefined;
  #epoch = 0;
  /** Batches trained since the last save. */
  #batches = 0;

  constructor(tf: TensorFlowJsLayers, options: Normalized) {
    this.#tf = tf;
    this.#options = options;
  }

  async trainBegin(model: FittedModel, params: FitParams): Promise<void> {
    await this.close();
    const { directory, objects, write, signals, deadlineSeconds } = this.#options;
    const state = new FitState();
    const checkpoint = new Checkpoint({ ...objects, model, fit: state } as never, {
      adapters: fittedAdapters(this.#tf, model),
    });
    // Two, so that a damaged one has another to fall back to.
    const manager = new CheckpointManager(checkpoint, { directory, maxToKeep: 2, write });
    try {
      await manager.restoreOrInitialize();
      const preemption = signals.length === 0 ? undefined : saveOnSignal(manager, { signals, deadlineSeconds });
      const from = { epoch: state.epoch, batch: state.batch };
      this.#session = { model, params, state, manager, preemption, from };
    } catch (error) {
      await manager.close();
      throw error;
    }
    this.#batches = 0;
  }

  async epochBegin(epoch: number): Promise<void> {
    this.#epoch = epoch;
    const session = this.#session;
    if (session === undefined) return;
    const { model, from } = session;
    setReplaying(model, epoch < from.epoch || (epoch === from.epoch && from.batch > 0));
  }

  async batchBegin(batch: number): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    const { model, params, state, from } = session;
    const goesBy = this.#epoch < from.epoch || (this.#epoch === from.epoch && batch < from.batch);
    setReplaying(model, goesBy);
    if (!goesBy) return;
    const logs = this.#epoch < from.epoch ? {} : (state.batches[batch]?.logs ?? {});
    replayStep(this.#tf, model, trainMetrics(params), logs);
  }

  async batchEnd(batch: number, logs: RawLogs): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    const { model, params, state, from, manager, preemption } = session;
    if (this.#epoch < from.epoch) {
      // fit() needs none of the other batches; a dataset has to be read as far as it was.
      if (params.batchSize != null) model.stopTraining = true;
      return;
    }
    if (this.#epoch === from.epoch && batch < from.batch) return;
    const { saveFreq } = this.#options;
    const isKept = saveFreq !== 'epoch' || preemption !== undefined;
    state.endBatch(batch, isKept ? new KeptLogs(logs, (tensor) => this.#keep(tensor)) : undefined);
    this.#batches++;
    const isDue = saveFreq !== 'epoch' && this.#batches >= saveFreq;
    if (!isDue && preemption?.signal == null) return;
    await state.resolve();
    if (isDue) {
      this.#batches = 0;
      await manager.save();
    }
    await preemption?.atStepBoundary();
  }

  async epochEnd(epoch: number, logs: RawLogs): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    const { model, state, from, manager, preemption } = session;
    if (epoch < from.epoch) {
      model.stopTraining = false;
      disposeLogs(logs);
      for (const name of Object.keys(logs)) delete logs[name];
      Object.assign(logs, state.epochs.get(epoch));
      return;
    }
    state.endEpoch(epoch, await resolveLogs(logs));
    if (this.#options.saveFreq === 'epoch') await manager.save();
    await preemption?.atStepBoundary();
  }

  async trainEnd(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    const { manager } = session;
    session.preemption?.dispose();
    await manager.sync();
    if (this.#options.deleteCheckpoint) await removeBackup(manager.directory, manager.checkpoints);
    await this.close();
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    if (session === undefined) return;
    setReplaying(session.model, false);
    session.preemption?.dispose();
    session.state.clearBatches();
    await session.manager.close();
  }

  #keep(tensor: TfTensor): TfTensor {
    return this.#tf.keep(tensor.clone() as never) as TfTensor;
  }
}

/** What a training step returns, in its order. */
function trainMetrics({ metrics = ['loss'], doValidation = false }: FitParams): readonly string[] {
  return doValidation ? metrics.slice(0, metrics.length / 2) : metrics;
}
