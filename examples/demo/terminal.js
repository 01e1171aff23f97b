// What the demo puts on the terminal. Without a terminal, or with NO_COLOR, it is plain lines of text.
import asciichart from 'asciichart';

const { stdout } = process;
// hasColors() knows NO_COLOR and FORCE_COLOR.
const coloured = stdout.isTTY === true && stdout.hasColors();
const paint = (/** @type {string} */ code) => (/** @type {string} */ text) =>
  coloured ? `\x1b[${code}m${text}\x1b[0m` : text;

export const bold = paint('1');
export const dim = paint('2');
export const good = paint('1;32');
export const bad = paint('1;31');

/**
 * A line that the next one replaces; only on a terminal.
 *
 * @param {string} text
 */
export function progress(text) {
  if (stdout.isTTY) stdout.write(`\r\x1b[K${text}`);
}

const COLUMNS = 60;
const HEIGHT = 10;

/**
 * The loss over the steps, one colour for each process, and where it was killed.
 *
 * @param {readonly number[]} losses
 * @param {readonly number[]} kills steps
 */
export function lossPlot(losses, kills) {
  const perColumn = losses.length / COLUMNS;
  const means = Array.from({ length: COLUMNS }, (_, column) => {
    const part = losses.slice(Math.floor(column * perColumn), Math.floor((column + 1) * perColumn));
    return part.reduce((sum, loss) => sum + loss, 0) / part.length;
  });
  const columns = kills.map((step) => Math.floor((step - 1) / perColumn));
  // Painted over one another: the whole run, then up to the second kill, then up to the first.
  const ends = [...columns.map((column) => column + 2), COLUMNS].reverse();
  const series = coloured ? ends.map((end) => means.slice(0, end)) : [means];
  const colors = coloured ? [asciichart.green, asciichart.yellow, asciichart.cyan] : undefined;
  const format = (/** @type {number} */ value) => value.toFixed(2).padStart(6);
  const plot = asciichart.plot(coloured ? series : [means], {
    height: HEIGHT,
    colors,
    format,
    min: 0,
    max: Math.max(...means),
  });
  // The labels and the axis take the first columns.
  const margin = ' '.repeat(8);
  const marks = Array.from({ length: COLUMNS }, (_, x) => (columns.includes(x) ? '^' : ' ')).join('');
  return `${plot}\n${margin}${marks.trimEnd()}  killed\n${margin}step 1${`step ${losses.length}`.padStart(COLUMNS - 6)}`;
}
