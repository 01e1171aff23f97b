import { invalidArgument } from '../errors.ts';
import { type DeviceHandle, type DeviceRange, releaseDevice } from '../native/cuda.ts';

/**
 * The memory of one device tensor. It may be freed at any time; what still uses it (a save, a restore, a copy) holds it,
 * and it lives on until the last one has let go.
 */
export class DeviceAllocation {
  /** The memory itself, or for memory of somebody else's what keeps it alive. */
  readonly #range: DeviceRange;
  #handle: DeviceHandle | undefined;
  #owner: object | undefined;
  #holds = 0;
  #isFreed = false;

  /** @param handle the share in memory that is given up at the end; @param owner what a foreign pointer belongs to. */
  constructor(range: Omit<DeviceRange, 'owner'>, handle: DeviceHandle | undefined, owner: object | undefined) {
    this.#range = { ...range };
    this.#handle = handle;
    this.#owner = owner;
  }

  get isFreed(): boolean {
    return this.#isFreed;
  }

  /** @throws CheckpointError INVALID_ARGUMENT once it was freed. */
  get range(): DeviceRange {
    this.#check();
    const owner = this.#handle ?? this.#owner;
    return owner === undefined ? this.#range : { ...this.#range, owner };
  }

  /** The share in the memory; undefined for memory of somebody else's. Throws once it was freed. */
  get handle(): DeviceHandle | undefined {
    this.#check();
    return this.#handle;
  }

  /** What memory of somebody else's belongs to, if that was said. Throws once it was freed. */
  get owner(): object | undefined {
    this.#check();
    return this.#owner;
  }

  /** Keeps the memory until the function returned was called. */
  hold(): () => void {
    this.#check();
    this.#holds++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds--;
      this.#letGo();
    };
  }

  /** Again does nothing. */
  free(): void {
    this.#isFreed = true;
    this.#letGo();
  }

  #letGo(): void {
    if (!this.#isFreed || this.#holds > 0) return;
    this.#owner = undefined;
    if (this.#handle !== undefined) releaseDevice(this.#handle);
    this.#handle = undefined;
  }

  #check(): void {
    if (!this.#isFreed) return;
    throw invalidArgument('This DeviceTensor was freed: it has no memory that could be read, restored or handed out.');
  }
}
