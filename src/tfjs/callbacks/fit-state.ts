import type { Serializable } from '../../checkpoint/index.ts';
import { decodeLogs, encodeLogs, KeptLogs, type Logs } from './logs.ts';

/** How far a training has come, and what it has logged until there. */
export class FitState implements Serializable {
  /** Where the training goes on. */
  epoch = 0;
  batch = 0;
  /** The logs of the epochs that are over. */
  readonly epochs = new Map<number, Logs>();
  /** Those of the batches of `epoch`, as far as they have been kept. */
  batches: KeptLogs[] = [];

  endBatch(batch: number, logs: KeptLogs | undefined): void {
    this.batch = batch + 1;
    if (logs !== undefined) this.batches.push(logs);
  }

  endEpoch(epoch: number, logs: Logs): void {
    this.epochs.set(epoch, logs);
    this.epoch = epoch + 1;
    this.clearBatches();
  }

  clearBatches(): void {
    this.batch = 0;
    for (const logs of this.batches) logs.dispose();
    this.batches = [];
  }

  /** Reads the logs that are still Scalars. To be waited for before a save. */
  async resolve(): Promise<void> {
    await Promise.all(this.batches.map((logs) => logs.resolve()));
  }

  serialize(): string {
    return JSON.stringify({
      epoch: this.epoch,
      batch: this.batch,
      epochs: [...this.epochs].map(([epoch, logs]) => [epoch, encodeLogs(logs)]),
      batches: this.batches.map(({ logs }) => encodeLogs(logs)),
    });
  }

  deserialize(text: string): void {
    const { epoch, batch, epochs, batches } = JSON.parse(text);
    this.clearBatches();
    this.epochs.clear();
    this.epoch = Number(epoch);
    this.batch = Number(batch);
    for (const [number, logs] of epochs) this.epochs.set(Number(number), decodeLogs(logs));
    this.batches = (batches as unknown[]).map((logs) => KeptLogs.of(decodeLogs(logs)));
  }
}
