// @ts-check
// Sizes, rates and times as people write and read them. Sizes are binary (GiB), rates decimal (GB/s), as disks are sold.

/** A mistake of whoever typed the command: shown without a stack. */
export class UsageError extends Error {}

const sizes = { b: 1, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 };
const times = { ms: 0.001, s: 1, min: 60, h: 3600, d: 86400 };

/** @param {string} option @param {string} text */
export function parseSize(option, text) {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?i?b)?$/i.exec(text.trim());
  const unit = /** @type {keyof typeof sizes} */ ((match?.[2] ?? 'B').toLowerCase());
  const bytes = Math.round(Number(match?.[1]) * sizes[unit]);
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new UsageError(`${option} takes a size such as 512MiB or 4GiB, not "${text}".`);
  }
  return bytes;
}

/** Seconds. @param {string} option @param {string} text */
export function parseDuration(option, text) {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)$/i.exec(text.trim());
  const unit = /** @type {keyof typeof times} */ (match?.[2]?.toLowerCase() ?? 's');
  const seconds = Number(match?.[1]) * times[unit];
  if (!(seconds > 0)) throw new UsageError(`${option} takes a time such as 30min, 24h or 2d, not "${text}".`);
  return seconds;
}

/** @param {string} option @param {string} text @param {number} least @param {number} [most] */
export function parseCount(option, text, least, most = Number.MAX_SAFE_INTEGER) {
  const value = Number(text);
  if (!/^\d+$/.test(text.trim()) || value < least || value > most) {
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
    throw new UsageError(`${option} takes a whole number ${range}, not "${text}".`);
  }
  return value;
}

/** @param {number} bytesPerSecond */
export function formatRate(bytesPerSecond) {
  const [unit, name] = bytesPerSecond >= 1e8 ? [1e9, 'GB/s'] : bytesPerSecond >= 1e5 ? [1e6, 'MB/s'] : [1e3, 'kB/s'];
  return `${(bytesPerSecond / Number(unit)).toFixed(2)} ${name}`;
}

/** @param {number} bytes */
export function formatSize(bytes) {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let index = 0;
  let value = bytes;
  while (value >= 1024 && index < names.length - 1) {
    value /= 1024;
    index++;
  }
  return `${Number.isInteger(value) || value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2)} ${names[index]}`;
}

/** @param {number} seconds */
export function formatTime(seconds) {
  if (seconds < 1e-3) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(seconds < 0.1 ? 1 : 0)} ms`;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** "3.94 GB/s (3.80–4.01)"; the unit is repeated where it is another one. @param {{median: number, low: number, high: number}} summary @param {(value: number) => string} format */
export function formatSummary({ median, low, high }, format) {
  const whole = format(median);
  const unit = / [^ ]+$/.exec(whole)?.[0] ?? '';
  const short = (/** @type {number} */ value) => {
    const text = format(value);
    return unit && text.endsWith(unit) ? text.slice(0, -unit.length) : text;
  };
  return `${whole} (${short(low)}–${short(high)})`;
}
