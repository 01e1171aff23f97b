import { inTurns, type Steps, type Turns } from '../steps.ts';
import type { TakenBuffers } from './contract.ts';
import { loadAddon } from './loader.ts';

/** Buffers that one call hands over, as its arguments. */
const PIECE = 128;

/** So few are taken in the call that starts their program. */
const FEW = 512;

/**
 * Hands the buffers of a program over before its start, in as many turns as that takes: a hundred thousand at once would
 * hold up the event loop for 30 ms. From then on they must not be transferred, as those of a program under way. Undefined
 * where there are only few.
 *
 * @throws TypeError for a buffer that can shrink.
 */
export function* takeBuffers(buffers: readonly ArrayBufferLike[], turns: Turns): Steps<TakenBuffers | undefined> {
  if (buffers.length <= FEW) return undefined;
  const addon = loadAddon();
  let taken: TakenBuffers | undefined;
  const take = (first: number, end: number): void => {
    const piece = buffers.slice(first, end);
    checkBuffers(piece);
    taken = addon.takeBuffers(taken, ...piece);
  };
  yield* inTurns(turns, buffers.length, take, PIECE);
  return taken;
}

/** Refuses memory that can shrink under the engine's threads: JS can ask many buffers in no time, Node-API can't. */
export function checkBuffers(buffers: readonly ArrayBufferLike[]): void {
  for (const buffer of buffers) {
    const { resizable, growable } = buffer as { resizable?: boolean; growable?: boolean };
    if (resizable || growable) {
      throw new TypeError(
        `A resizable ArrayBuffer (${buffer.byteLength} bytes) can't be saved or restored in place: its memory could go ` +
          'away meanwhile. Copy it into one of fixed length',
      );
    }
  }
}
