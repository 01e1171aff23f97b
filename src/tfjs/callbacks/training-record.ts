import type { Serializable } from '../../checkpoint/index.ts';
import { isCheckpointError } from '../../errors.ts';
import { latestCheckpoint, loadCheckpoint } from '../../manager/index.ts';
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

/** The record in the latest checkpoint of a directory, and how many saves it counts. null: none that is whole. */
export async function latestRecord(directory: string): Promise<{ record: TrainingRecord; saves: number } | null> {
  const latest = await latestCheckpoint(directory);
  if (latest === null) return null;
  try {
    const reader = await loadCheckpoint(latest);
    try {
      const stored = await reader.getTensor('training/.ATTRIBUTES/py_state');
      const counter = await reader.getTensor('save_counter/.ATTRIBUTES/VARIABLE_VALUE');
      const record = new TrainingRecord();
      record.deserialize(new TextDecoder().decode((stored.data as Uint8Array[])[0]));
      return { record, saves: Number((counter.data as BigInt64Array)[0]) };
    } finally {
      await reader.close();
    }
  } catch (error) {
    if (!isCheckpointError(error) && !(error instanceof SyntaxError)) throw error;
    const message = `modelCheckpoint: ${latest} tells nothing of the training before: ${error.message}`;
    process.emitWarning(message, { type: 'CheckpointWarning', code: 'training' });
    return null;
  }
}
