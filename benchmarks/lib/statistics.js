// @ts-check
// What a handful of rounds on a shared machine allows to say: medians, and intervals that assume no distribution.

/** @param {readonly number[]} values */
function sorted(values) {
  if (values.length === 0) throw new RangeError('No value to summarize.');
  if (values.some((value) => !Number.isFinite(value))) throw new RangeError('Only finite numbers can be summarized.');
  return [...values].sort((a, b) => a - b);
}

/** @param {readonly number[]} values */
export function median(values) {
  return quantile(values, 0.5);
}

/**
 * The value below which a fraction `q` of the values lies, interpolated between neighbours (Hyndman and Fan's type 7).
 * @param {readonly number[]} values
 * @param {number} q 0 to 1
 */
export function quantile(values, q) {
  const ordered = sorted(values);
  const at = q * (ordered.length - 1);
  const below = Math.floor(at);
  const low = /** @type {number} */ (ordered[below]);
  const high = ordered[Math.min(below + 1, ordered.length - 1)] ?? low;
  return low + (high - low) * (at - below);
}

/**
 * The median with an interval between two order statistics: it holds the true median with at least the stated
 * probability whatever the distribution is. The narrowest symmetric interval of 95 % or more is taken; below six
 * values there is none, and the whole range is given with the probability that it has.
 * @param {readonly number[]} values
 */
export function summarize(values) {
  const ordered = sorted(values);
  const n = ordered.length;
  let rank = 0; // values left out at either end
  while (2 * (rank + 1) < n && coverage(n, rank + 1) >= 0.95) rank++;
  return {
    median: median(ordered),
    low: /** @type {number} */ (ordered[rank]),
    high: /** @type {number} */ (ordered[n - 1 - rank]),
    confidence: coverage(n, rank),
    count: n,
  };
}

/**
 * The probability that the median lies between the values number `rank` from below and from above, of `n`: that
 * neither `rank` or fewer of n fair coins show heads, nor `rank` or fewer tails.
 * @param {number} n
 * @param {number} rank
 */
export function coverage(n, rank) {
  let tail = 0;
  let ways = 1; // n over k
  for (let k = 0; k <= rank; k++) {
    tail += ways * 2 ** -n;
    ways = (ways * (n - k)) / (k + 1);
  }
  return Math.max(0, 1 - 2 * tail);
}

/**
 * Ratios of what was measured in the same round, so that a drift of the machine touches both sides.
 * @param {readonly number[]} ours
 * @param {readonly number[]} theirs
 */
export function pairedRatios(ours, theirs) {
  if (ours.length !== theirs.length) throw new RangeError('Pairs need as many values on either side.');
  return ours.map((value, index) => value / /** @type {number} */ (theirs[index]));
}

/**
 * The order of the contestants in a round (from 0): forwards, then backwards, so that two rounds together are ABBA and
 * a steady drift favours nobody.
 * @template T
 * @param {readonly T[]} contestants
 * @param {number} round
 */
export function orderOf(contestants, round) {
  return round % 2 === 0 ? [...contestants] : [...contestants].reverse();
}

/**
 * Counts of values per class; the classes double from `first`, and the last is open.
 * @param {readonly number[]} values
 * @param {number} first upper edge of the first class
 * @param {number} classes
 */
export function histogram(values, first, classes) {
  const bins = Array.from({ length: classes }, (_, index) => ({
    below: index === classes - 1 ? Number.POSITIVE_INFINITY : first * 2 ** index,
    count: 0,
  }));
  for (const value of values) {
    const bin = bins.find(({ below }) => value < below) ?? bins[classes - 1];
    if (bin) bin.count++;
  }
  return bins;
}
