import { inTurns, type Steps, type Turns } from '../steps.ts';
import type { TakenBuffers } from './contract.ts';
import { loadAddon } from './loader.ts';

/** Buffers that one call hands over, as its arguments. */
const PIECE = 128;

/** So few are taken in the call that starts their program. */
const FEW = 512;

/** Buffers in their order, and what keeps them alive. */
interface Buffers {
  readonly length: number;
  at(index: number): ArrayBufferLike | undefined;
}

/** What a program says of its buffers. */
export interface ProgramBuffers {
  readonly taken: TakenBuffers | undefined;
  readonly buffers: readonly ArrayBufferLike[];
  readonly owners: readonly object[];
}

/**
 * Lists few buffers, and hands many over before their program's start, in as many turns as that takes: a hundred thousand at
 * once would hold up the event loop for 30 ms. From then on they must not be transferred, as those of a program under way.
 *
 * @throws TypeError for a buffer that can shrink.
 */
export function* takeBuffers(buffers: Buffers, turns: Turns): Steps<ProgramBuffers> {
  const piece = (first: number, end: number) => Array.from({ length: end - first }, (_, i) => buffers.at(first + i)!);
  if (buffers.length <= FEW) return { taken: undefined, buffers: piece(0, buffers.length), owners: [] };
  const addon = loadAddon();
  let taken: TakenBuffers | undefined;
  const take = (first: number, end: number): void => {
    const some = piece(first, end);
    checkBuffers(some);
    taken = addon.takeBuffers(taken, ...some);
  };
  yield* inTurns(turns, buffers.length, take, PIECE);
  return { taken, buffers: [], owners: [buffers] };
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
