import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { scenarios } from './scenarios.ts';

/**
 * What no comparison can show, because TensorFlow does nothing of the kind or nothing can be seen of it: the points that
 * are ours alone. The manager's own tests prove those; their titles begin
 * with the point.
 */
const oursAlone: Readonly<Record<number, string>> = {
  11: 'a second manager on the directory is refused',
  28: 'what a crashed save left is removed at the next start',
};

/** The points are those of manager-behaviour: construction 1-11, state file 12-15, save 16-23, sweep 24-28, … */
const lastPoint = 35;

test('every point of the manager’s behaviour has a scenario', () => {
  const table = Array.from({ length: lastPoint }, (_, i) => {
    const point = i + 1;
    const reached = scenarios.filter(({ points }) => points.includes(point)).map(({ name }) => name);
    const excepted = scenarios
      .filter(({ steps }) => steps.some(({ ours }) => ours?.point === point))
      .map(({ name }) => name);
    return { point, reached, excepted };
  });
  if (process.env.ORACLE_TABLE) process.stdout.write(`${table.map(line).join('\n')}\n`);

  const missing = table.filter(({ point, reached }) => reached.length === 0 && !(point in oursAlone));
  expect(missing.map(({ point }) => point)).toEqual([]);
  // An exception belongs to a scenario that says that it reaches the point.
  for (const { reached, excepted } of table) expect(reached).toEqual(expect.arrayContaining(excepted));
});

test('every point that is ours alone is proved by the manager’s tests', () => {
  const folder = new URL('../manager/', import.meta.url);
  const titles = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('\n');
  for (const point of Object.keys(oursAlone)) expect(titles).toMatch(new RegExp(`['"\`](\\d+, )*${point}(, \\d+)*:`));
});

function line({ point, reached, excepted }: { point: number; reached: string[]; excepted: string[] }): string {
  const [first, ...more] = reached;
  const proof =
    first === undefined ? `test/manager: ${oursAlone[point]}` : `${first}${more.length ? ` (+${more.length})` : ''}`;
  return `${String(point).padStart(2)}  ${proof}${excepted.length ? `  [ours differs in ${excepted.length}]` : ''}`;
}
