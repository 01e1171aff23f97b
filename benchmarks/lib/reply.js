// @ts-check
// How a child of the benchmark answers: one line of JSON on standard output, after whatever its libraries say there.

const MARK = '@bench ';

/** @param {unknown} value */
export function reply(value) {
  process.stdout.write(`${MARK}${JSON.stringify(value)}\n`);
}

/**
 * The last answer in a child's output.
 * @param {string} stdout
 * @returns {any}
 */
export function answerIn(stdout) {
  const lines = stdout.split('\n').filter((line) => line.startsWith(MARK));
  const last = lines.at(-1);
  if (last === undefined) throw new Error(`The child gave no answer: ${stdout.trim().slice(-500)}`);
  return JSON.parse(last.slice(MARK.length));
}
