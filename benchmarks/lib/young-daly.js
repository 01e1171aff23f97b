// @ts-check
// How often to save: the interval at which the time lost to saving and the time lost to failures are least together.
// Young 1974 (first order), Daly 2006 (higher order).

/**
 * @param {number} cost seconds that one checkpoint takes from the training
 * @param {number} mtbf mean seconds between failures
 * @param {number} [resume] seconds until a failed run trains again
 * @returns {{ seconds: number, young: number, lostFraction: number }} seconds of training between two saves, and the
 *   part of the machine's time that is lost to saves, to work done again and to resuming, at that interval
 */
export function checkpointInterval(cost, mtbf, resume = 0) {
  if (!(cost > 0 && mtbf > 0 && resume >= 0)) {
    throw new RangeError(`A cost and a mean time between failures above 0 are needed, given ${cost} and ${mtbf}.`);
  }
  const young = Math.sqrt(2 * cost * mtbf);
  const x = cost / (2 * mtbf);
  const seconds = x < 1 ? young * (1 + Math.sqrt(x) / 3 + x / 9) - cost : mtbf;
  return { seconds, young, lostFraction: lostFraction(seconds, cost, mtbf, resume) };
}

/**
 * The expected part of the time that is no progress, failures being exponentially distributed (Daly's complete model).
 * @param {number} interval
 * @param {number} cost
 * @param {number} mtbf
 * @param {number} resume
 */
export function lostFraction(interval, cost, mtbf, resume) {
  const perSegment = mtbf * Math.exp(resume / mtbf) * Math.expm1((interval + cost) / mtbf);
  return 1 - interval / perSegment;
}
