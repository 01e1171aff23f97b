import type { Serializable } from '../../checkpoint/index.ts';
import { isCheckpointError } from '../../errors.ts';
import { getCheckpointState, loadCheckpoint } from '../../manager/index.ts';
import { decodeLogs, encodeLogs, type Logs } from './logs.ts';

/** What modelCheckpoint stores beside a model: when it was saved, how good it was, and the best value so far. */
export class TrainingRecord implements Serializable {
  epoch = 0;
  /** null: at the end of the epoch. */
  batch: number | null = null;
  logs: Logs = {};
  monitor = '';
  best: number | null = null;

  serialize(): string {
    const { epoch, batch, logs, monitor, best } = this;
    return JSON.stringify({
      epoch,
      batch,
      logs: encodeLogs(logs),
      monitor,
      best: best === null ? null : encodeLogs({ best }).best,
    });
  }

  deserialize(text: string): void {
    const { epoch, batch, logs, monitor, best } = JSON.parse(text);
    this.epoch = Number(epoch);
    this.batch = batch === null ? null : Number(batch);
    this.logs = decodeLogs(logs);
    this.monitor = String(monitor);
    this.best = best === null ? null : Number(best);
  }
}

/** What a directory tells of the training before. */
export interface Predecessor {
  /** Of the latest checkpoint; undefined if it can't be read. */
  readonly record: TrainingRecord | undefined;
  /** Prefix of the latest checkpoint. */
  readonly path: string;
  /** Its number. */
  readonly number: number;
}

/** @returns null where there is no checkpoint, as far as the state file knows. */
export async function predecessorIn(directory: string): Promise<Predecessor | null> {
  const latest = (await getCheckpointState(directory))?.modelCheckpointPath;
  if (latest === undefined) return null;
  const number = Number(/-(\d+)$/.exec(latest)?.[1] ?? 0);
  try {
    const reader = await loadCheckpoint(latest);
    try {
      const { data } = await reader.getTensor('training/.ATTRIBUTES/py_state');
      const record = new TrainingRecord();
      record.deserialize(new TextDecoder().decode((data as Uint8Array[])[0]));
      return { record, path: latest, number };
    } finally {
      await reader.close();
    }
  } catch (error) {
    if (!isCheckpointError(error) && !(error instanceof SyntaxError)) throw error;
    const message = `modelCheckpoint: ${latest} doesn't tell the best value of the training before: ${error.message}`;
    process.emitWarning(message, { type: 'CheckpointWarning', code: 'training' });
    return { record: undefined, path: latest, number };
  }
}
