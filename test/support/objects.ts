import { HostTensor } from '../../src/tensor/host-tensor.ts';

/** Objects of a checkpoint's tree that tests make over and over. */

export const floats = (...data: number[]) =>
  new HostTensor({ dtype: 'float32', shape: [data.length], data: new Float32Array(data) });

/** Host state that serializes itself, with text that is not ASCII. */
export class Epoch {
  epoch: number;
  constructor(epoch: number) {
    this.epoch = epoch;
  }
  serialize(): string {
    return JSON.stringify({ epoch: this.epoch, note: 'é\u{1f600}' });
  }
  deserialize(text: string): void {
    this.epoch = JSON.parse(text).epoch;
  }
}
