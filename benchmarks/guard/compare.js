// @ts-check
// What the guard measured against what it should be. A metric is a cost: less is better, and more than the tolerance is a
// regression. Pure, so that it can be shown to fail.

/** @typedef {{ value: number, tolerance: number, unit: string }} Expected `tolerance`: the part by which it may be exceeded */
/** @typedef {{ metric: string, kind: 'worse' | 'better' | 'same' | 'new' | 'missing', text: string }} Verdict */

/**
 * @param {Record<string, Expected>} baseline
 * @param {Record<string, { value: number, unit: string }>} measured
 * @param {Record<string, string>} skipped why a metric's tool was not there, by the prefix of its metrics
 * @returns {Verdict[]}
 */
export function compare(baseline, measured, skipped = {}) {
  /** @type {Verdict[]} */
  const verdicts = [];
  for (const [metric, expected] of Object.entries(baseline)) {
    const found = measured[metric];
    if (!found) {
      const why = Object.entries(skipped).find(([prefix]) => metric.startsWith(prefix))?.[1];
      // A metric that silently disappears is a guard that has fallen asleep.
      verdicts.push({ metric, kind: 'missing', text: why ? `not measured: ${why}` : 'is no longer measured' });
      continue;
    }
    verdicts.push({ metric, ...judge(expected, found.value) });
  }
  for (const [metric, { value, unit }] of Object.entries(measured)) {
    if (!baseline[metric])
      verdicts.push({ metric, kind: 'new', text: `${format(value)} ${unit}, not in the baseline` });
  }
  return verdicts;
}

/** @param {Expected} expected @param {number} value @returns {{ kind: 'worse' | 'better' | 'same', text: string }} */
function judge({ value: wanted, tolerance, unit }, value) {
  const change = wanted === 0 ? (value === 0 ? 0 : Number.POSITIVE_INFINITY) : value / wanted - 1;
  const text = `${format(value)} ${unit}, baseline ${format(wanted)} (${change >= 0 ? '+' : ''}${(change * 100).toFixed(1)} %, allowed ${(tolerance * 100).toFixed(0)} %)`;
  if (!Number.isFinite(value)) return { kind: 'worse', text: `${value} is no measurement` };
  // A tolerance is meant inclusively, and 105/100 − 1 is a little more than 0.05 in binary.
  if (change > tolerance + 1e-9) return { kind: 'worse', text };
  return { kind: change < -tolerance ? 'better' : 'same', text };
}

/**
 * Whether the change may land.
 * @param {readonly Verdict[]} verdicts
 * @param {{ required: boolean, skipped: Record<string, string> }} how `required`: nothing may be left out
 */
export function passes(verdicts, { required, skipped }) {
  return verdicts.every(({ metric, kind }) => {
    if (kind === 'worse' || kind === 'new') return false;
    if (kind !== 'missing') return true;
    return !required && Object.keys(skipped).some((prefix) => metric.startsWith(prefix));
  });
}

/** @param {number} value */
function format(value) {
  return Math.abs(value) >= 1000 || Number.isInteger(value)
    ? value.toLocaleString('en', { maximumFractionDigits: 0 })
    : value.toPrecision(3);
}
