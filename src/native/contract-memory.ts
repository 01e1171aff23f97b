/** Where the memory of a program is, for saves and loads alike. */

/** Where the bytes of an extent are. */
export const ExtentKind = {
  /** In the program's buffer of that number, memory that JS can write at any time: it is summed again after it was written in place. */
  jsMemory: 0,
  /** At an absolute host address whose content can't change while the program runs (a TensorFlow buffer). */
  pinnedMemory: 1,
  /** At a device address, on row `buffer` of `devices`. */
  cudaDevice: 2,
  /** At the address of {@link NativeBytes}, which are among `owners`. Copied first where the program copies. */
  nativeMemory: 3,
} as const;

/** A row of `devices` without a stream: all work of the device's context is waited for. */
export const NO_STREAM = -1;

/**
 * Where device memory of a program lies, and what has to happen before it is read or written: one row for each pair of
 * device and stream, not one for each tensor.
 */
export interface DeviceTable {
  /** Ordinal of the CUDA device, 0 … the number of devices − 1. */
  readonly ordinal: Uint32Array;
  /**
   * Handle of the stream (a CUstream of the device's primary context; 0 or 1 the legacy default stream) whose work
   * until now, and no more, is waited for by an event. {@link NO_STREAM}: the context is synchronized once, on a thread
   * of the engine's.
   */
  readonly stream: Float64Array;
}

/** What native knows of buffers that were handed over by {@link NativeAddon.takeBuffers}. Opaque. */
export type TakenBuffers = object;

/** Whether bytes of devices move to and from the disk without passing the host (GPUDirect Storage). */
export const GpuDirectUse = {
  off: 0,
  /** Where it is possible; where not, a warning `gpuDirect` says why. */
  auto: 1,
  /** Where it is not possible, the program fails with UNSUPPORTED and the reason. */
  required: 2,
} as const;

/** What the option of that name means. */
export function gpuDirectUse(option: boolean | 'auto'): number {
  if (option === 'auto') return GpuDirectUse.auto;
  return option ? GpuDirectUse.required : GpuDirectUse.off;
}
