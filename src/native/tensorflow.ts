/** The native side's access to a TensorFlow runtime in this process, as TypeScript sees it. */
import type { BorrowedTensors, NativeError, TensorFlowRuntimeInfo } from './contract.ts';
import { toCheckpointError } from './engine.ts';
import { loadAddon } from './loader.ts';

export type { BorrowedTensors, TensorFlowRuntimeInfo };

/** The TensorFlow runtime of this process, or the reason why its tensors can't be borrowed. */
export function findTensorFlow(): TensorFlowRuntimeInfo | string {
  const found = loadAddon().findTensorFlow();
  return 'error' in found ? found.error.message : found;
}

/** Takes references to the inputs of every borrow op that `execute` has TensorFlow execute on this thread. */
export function borrowTensors(execute: () => void): BorrowedTensors {
  return checked(loadAddon().borrowTensors(execute));
}

/** Has the provide op that `execute` executes make a tensor on TensorFlow's GPU, and borrows it: to be filled. */
export function placeTensor(
  type: number,
  dims: readonly number[],
  bytes: number,
  execute: () => void,
): BorrowedTensors {
  return checked(loadAddon().placeTensor(type, dims, bytes, execute));
}

/** Gives borrowed tensors back. On the thread that borrowed them, when no program uses them any more. */
export function releaseBorrow({ id }: BorrowedTensors): void {
  loadAddon().releaseBorrow(id);
}

/**
 * Holds the memory of the inputs of every borrow op that `execute` has TensorFlow execute on this thread, but for what is
 * JavaScript's, so that it is given back when {@link freeTensors} says so and not by who disposes of the tensors.
 */
export function holdTensors(execute: () => void): number {
  return loadAddon().holdTensors(execute);
}

/** Gives held memory back beside the event loop, which frees gigabytes slowly. Resolves when that is done. */
export function freeTensors(id: number): Promise<void> {
  return new Promise((resolve) => loadAddon().freeTensors(id, resolve));
}

/**
 * Has the provide op that `execute` executes make a tensor in the memory of `buffer`, which is detached. Gives its
 * address; null, without a call, for memory that isn't the engine's.
 */
export function provideTensor(
  buffer: ArrayBuffer,
  type: number,
  dims: readonly number[],
  execute: () => void,
): number | null {
  return loadAddon().provideTensor(buffer, type, dims, execute);
}

function checked(borrowed: BorrowedTensors | { readonly error: NativeError }): BorrowedTensors {
  if ('error' in borrowed) throw toCheckpointError(borrowed.error);
  return borrowed;
}
