import { invalidArgument } from '../errors.ts';
import { type DeviceTable, NO_STREAM } from '../native/contract.ts';
import type { DeviceMemory } from '../tensor/source.ts';
import type { Keyed } from './types.ts';

/** Collects the rows of a program's {@link DeviceTable}, and what must stay alive with them. */
export class DeviceRows {
  readonly #rows = new Map<string, number>();
  readonly #ordinal: number[] = [];
  readonly #stream: number[] = [];
  readonly #owners = new Set<object>();

  /** The row of this memory's device and stream. */
  add({ device, stream, owner }: DeviceMemory, keyed: Keyed): number {
    const handle = stream === undefined ? NO_STREAM : addressNumber(stream, 'stream', keyed);
    if (!Number.isInteger(device) || device < 0 || device > 0xffff) {
      const { key } = keyed;
      throw invalidArgument(`'${key}': a device is a whole number from 0, given ${String(device)}.`, { key });
    }
    if (owner !== undefined) this.#owners.add(owner);
    const name = `${device} ${handle}`;
    let row = this.#rows.get(name);
    if (row === undefined) {
      row = this.#ordinal.push(device) - 1;
      this.#stream.push(handle);
      this.#rows.set(name, row);
    }
    return row;
  }

  /** What a program takes: nothing where no memory of a device was added. */
  fields(): { readonly devices?: DeviceTable; readonly owners?: readonly object[] } {
    if (this.#ordinal.length === 0) return {};
    return {
      devices: { ordinal: Uint32Array.from(this.#ordinal), stream: Float64Array.from(this.#stream) },
      owners: [...this.#owners],
    };
  }
}

/** Addresses and handles travel as doubles. */
export function addressNumber(value: bigint | number, what: string, keyed: Keyed): number {
  const given = Number(value);
  if (Number.isSafeInteger(given) && given >= 0) return given;
  const { key } = keyed;
  throw invalidArgument(`'${key}': a ${what} is a whole number below 2^53, given ${String(value)}.`, { key });
}
