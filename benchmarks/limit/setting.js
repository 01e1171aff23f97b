// @ts-check
// One way to move bytes to a disk or from it.

/**
 * `memory`: `few` buffers, as many as requests under way, used over and over, so that small ones never leave the
 * processor's cache; or a place for every block of the `state`, as whoever saves or restores one has it.
 * @typedef {{ engine: string, block: number, depth: number, files: number, memory: 'state' | 'few' }} Setting
 */

const MiB = 2 ** 20;
/** Larger states are walked through in this much memory: no cache comes near it, and it leaves room for the state. */
const MOST_MEMORY = 2 ** 32;

/** What a setting really moves: whole blocks in every file. @param {number} bytes @param {Setting} setting */
export function movedBytes(bytes, { files, block }) {
  return Math.floor(bytes / files / block) * block * files;
}

/** The same for a state that is smaller than a block in every file. @param {number} bytes @param {Setting} setting @returns {Setting} */
export function fitted(bytes, setting) {
  if (setting.block * setting.files <= bytes) return setting;
  let { block } = setting;
  while (block > bytes && block > 4096) block /= 2;
  return { ...setting, files: 1, block };
}

/** Bytes of memory that a setting moves from or into. @param {number} bytes @param {Setting} setting */
export function memoryOf(bytes, setting) {
  const { memory, block, depth } = setting;
  if (memory === 'few') return depth * block;
  return Math.min(movedBytes(bytes, setting), Math.max(MOST_MEMORY, depth * block));
}

/** @param {Setting} setting */
export function describeSetting({ engine, block, depth, files, memory }) {
  const size = block >= MiB ? `${block / MiB} MiB` : `${block / 1024} KiB`;
  const [tool, requests] =
    engine === 'raw'
      ? ['raw program', `${size} × ${depth}`]
      : [`fio ${engine}`, memory === 'state' ? `${size}, all at once` : `${size} × ${depth}`];
  const where = memory === 'state' ? "memory of the state's size" : 'a few buffers used over and over';
  return `${tool}, ${requests}, ${files} file${files === 1 ? '' : 's'}, ${where}`;
}
