// @ts-check
// The shapes of state that are saved. A layout is data, so that children in other languages make the same tensors.

const KiB = 1024;
const MiB = 1024 * KiB;

/** @typedef {{ name: string, dtype: 'float32' | 'bfloat16', count: number, bytes: number }} Group `count` tensors of `bytes` each */
/** @typedef {{ name: string, about: string, groups: Group[] }} Layout */

/** Parameters of a Llama 3 model with 8 billion weights: per tensor, its rows and columns, and how often it occurs. */
const llama8b = /** @type {const} */ ([
  ['embed', 128256, 4096, 1],
  ['head', 128256, 4096, 1],
  ['q', 4096, 4096, 32],
  ['k', 1024, 4096, 32],
  ['v', 1024, 4096, 32],
  ['o', 4096, 4096, 32],
  ['gate', 14336, 4096, 32],
  ['up', 14336, 4096, 32],
  ['down', 4096, 14336, 32],
  ['norm1', 1, 4096, 32],
  ['norm2', 1, 4096, 32],
  ['norm', 1, 4096, 1],
]);

const makers = {
  /** @param {number} bytes @returns {Layout} */
  standard(bytes) {
    const scale = bytes / (40 * 96 * MiB + 256 * MiB + 1000 * 4 * KiB);
    const count = (/** @type {number} */ full) => Math.max(1, Math.round(full * scale));
    // Below a sixth of the full size not even two large tensors fit: they shrink instead.
    const large =
      scale >= 1 / 16 ? { count: count(40), bytes: 96 * MiB } : { count: 4, bytes: align(960 * MiB * scale) };
    const groups = [
      float32('large', large),
      float32('middle', { count: count(256), bytes: MiB }),
      float32('small', { count: count(1000), bytes: 4 * KiB }),
    ];
    return {
      name: 'standard',
      about: groups.map(({ count: n, bytes: each }) => `${n} × ${size(each)}`).join(' + '),
      groups,
    };
  },
  /** @param {number} bytes @returns {Layout} */
  one(bytes) {
    return { name: 'one', about: 'one tensor', groups: [float32('tensor', { count: 1, bytes: align(bytes) })] };
  },
  /** @param {number} _ @param {number} [tensors] @returns {Layout} */
  small(_, tensors = 100_000) {
    return { name: 'small', about: `${tensors} × 1 KiB`, groups: [float32('tensor', { count: tensors, bytes: KiB })] };
  },
  /** @param {number} bytes @returns {Layout} */
  unaligned(bytes) {
    const { groups } = makers.standard(bytes);
    return {
      name: 'unaligned',
      about: 'as standard, every tensor a few odd elements longer',
      groups: groups.map((group, index) => ({ ...group, bytes: group.bytes + 4 * (2 * index + 3) })),
    };
  },
  /** @param {number} bytes @returns {Layout} */
  llama8b(bytes) {
    const parameters = llama8b.reduce((sum, [, rows, columns, count]) => sum + rows * columns * count, 0);
    const full = parameters * (2 + 4 + 4 + 4); // bfloat16 weights; float32 master copy, first and second moment of Adam
    const scale = bytes / full;
    const groups = llama8b.flatMap(([name, rows, columns, count]) => {
      const elements = Math.max(1, Math.round(rows * columns * scale));
      return [
        { name: `${name}.weight`, dtype: /** @type {const} */ ('bfloat16'), count, bytes: 2 * elements },
        ...['master', 'adam_m', 'adam_v'].map((part) => float32(`${name}.${part}`, { count, bytes: 4 * elements })),
      ];
    });
    return {
      name: 'llama8b',
      about: `a Llama 3 8B with Adam (${(full / 1e9).toFixed(0)} GB) in tensors ${(1 / scale).toFixed(1)} times smaller`,
      groups,
    };
  },
};

/** @typedef {keyof typeof makers} LayoutName */

export const layoutNames = /** @type {LayoutName[]} */ (Object.keys(makers));

/**
 * @param {LayoutName} name
 * @param {number} bytes about so much in all
 * @param {number} [tensors] of the layout small, which has its own size
 */
export function makeLayout(name, bytes, tensors) {
  return makers[name](bytes, tensors);
}

/** @param {Layout} layout */
export function layoutBytes({ groups }) {
  return groups.reduce((sum, group) => sum + group.count * group.bytes, 0);
}

/** @param {Layout} layout */
export function layoutTensors({ groups }) {
  return groups.reduce((sum, group) => sum + group.count, 0);
}

/** @param {string} name @param {{ count: number, bytes: number }} of @returns {Group} */
function float32(name, of) {
  return { name, dtype: 'float32', ...of };
}

/** @param {number} bytes */
function align(bytes) {
  return Math.max(4 * KiB, Math.round(bytes / (4 * KiB)) * 4 * KiB);
}

/** @param {number} bytes */
function size(bytes) {
  return bytes >= MiB ? `${Math.round(bytes / MiB)} MiB` : `${Math.round(bytes / KiB)} KiB`;
}
