// The handwritten digits, and the order and form in which a training run sees them. Everything random follows from
// (seed, epoch, batch), so that a run that resumes in the middle of an epoch sees what it would have seen.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

export const SIDE = 8;
const PIXELS = SIDE * SIDE;
const RECORD = PIXELS + 1;
const HELD_OUT = 297;

/**
 * @typedef {object} Digits
 * @property {Float32Array} images 8 × 8 pixels each, 0 to 1.
 * @property {Int32Array} labels 0 to 9.
 * @property {number} count
 */

/** @returns {{ training: Digits, heldOut: Digits }} */
export function loadDigits() {
  const records = gunzipSync(readFileSync(new URL('./data/digits.bin.gz', import.meta.url)));
  const count = records.length / RECORD;
  return { training: digits(records, 0, count - HELD_OUT), heldOut: digits(records, count - HELD_OUT, count) };
}

/**
 * @param {Uint8Array} records
 * @param {number} start
 * @param {number} end
 * @returns {Digits}
 */
function digits(records, start, end) {
  const count = end - start;
  const images = new Float32Array(count * PIXELS);
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const at = (start + i) * RECORD;
    for (let p = 0; p < PIXELS; p++) images[i * PIXELS + p] = records[at + p] / 16;
    labels[i] = records[at + PIXELS];
  }
  return { images, labels, count };
}

/**
 * Batch `batch` of epoch `epoch`: shuffled anew each epoch, each image moved by up to one pixel.
 *
 * @param {Digits} digits
 * @param {{ seed: number, epoch: number, batch: number, size: number }} where
 */
export function batchOf(digits, { seed, epoch, batch, size }) {
  const order = shuffled(digits.count, random(seed, epoch));
  const images = new Float32Array(size * PIXELS);
  const labels = new Int32Array(size);
  const next = random(seed, epoch, batch);
  for (let i = 0; i < size; i++) {
    const source = order[batch * size + i];
    labels[i] = digits.labels[source];
    const [dx, dy] = [Math.floor(next() * 3) - 1, Math.floor(next() * 3) - 1];
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        const inside = x - dx >= 0 && x - dx < SIDE && y - dy >= 0 && y - dy < SIDE;
        if (inside) images[i * PIXELS + y * SIDE + x] = digits.images[source * PIXELS + (y - dy) * SIDE + (x - dx)];
      }
    }
  }
  return { images, labels };
}

/**
 * Fisher and Yates.
 *
 * @param {number} count
 * @param {() => number} next
 */
function shuffled(count, next) {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/**
 * Numbers in [0, 1) that depend on the arguments alone: the xorshift32 generator, started from a hash of them.
 *
 * @param {...number} seeds
 */
function random(...seeds) {
  let state = 0x9e3779b9;
  for (const seed of seeds) state = Math.imul(state ^ (seed + 1), 0x85ebca6b) ^ (state >>> 13);
  state ||= 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
