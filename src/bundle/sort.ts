import { freeColumns, uint32Column } from '../native/columns.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';

/** Compares two items by their numbers, as for Array.prototype.sort. */
export type Compare = (a: number, b: number) => number;

/**
 * The numbers 0 … count − 1 in the order of `compare`, equal items in their own order. A natural merge sort: what is in
 * order already costs a look, and between its pieces the event loop may turn, which within Array.prototype.sort it
 * couldn't for a second where there are a million tensors.
 */
export function* sortedNumbers(count: number, compare: Compare, turns: Turns): Steps<Uint32Array> {
  let from = uint32Column(count);
  let runs = [0];
  yield* inTurns(turns, count, (first, end) => {
    for (let i = first; i < end; i++) {
      from[i] = i;
      if (i > 0 && compare(i - 1, i) > 0) runs.push(i);
    }
  });
  let to = runs.length > 1 ? uint32Column(count) : from;
  while (runs.length > 1) {
    yield* inTurns(turns, count, mergingPairs(from, to, [...runs, count], compare));
    runs = runs.filter((_, run) => run % 2 === 0);
    [from, to] = [to, from];
  }
  if (to !== from) freeColumns(to);
  return from;
}

/** One pass: every two neighbouring runs of `from` become one run of `to`. To be called for all of `to`, in order. */
function mergingPairs(from: Uint32Array, to: Uint32Array, runs: readonly number[], compare: Compare) {
  let run = -2;
  let left = 0;
  let middle = 0;
  let right = 0;
  let end = 0;
  return (first: number, stop: number): void => {
    for (let at = first; at < stop; at++) {
      if (at === end) {
        run += 2;
        left = end;
        middle = runs[run + 1]!;
        right = middle;
        end = runs[run + 2] ?? middle;
      }
      const takesLeft = right === end || (left < middle && compare(from[left]!, from[right]!) <= 0);
      to[at] = takesLeft ? from[left++]! : from[right++]!;
    }
  };
}
