// @ts-check
// What was measured, as Markdown. In a page that has places for it, each experiment's section goes into its place; a file
// that is new, or a section that has no place, is added to at the end.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describeMachine } from '../lib/machine.js';
import { commandOf } from '../options.js';
import { chartsOf } from './charts.js';

/** @typedef {import('../instrument.js').BenchResult} BenchResult */

/**
 * @param {string} page
 * @param {string} name of an experiment
 * @param {string} section
 */
export function withSection(page, name, section) {
  const start = `<!-- measured: ${name} -->`;
  const end = '<!-- end -->';
  const whole = `${start}\n\n${section}\n\n${end}`;
  const from = page.indexOf(start);
  if (from < 0) return `${page.trimEnd()}${page.trim() ? '\n\n' : ''}${whole}\n`;
  const to = page.indexOf(end, from);
  if (to < 0) throw new RangeError(`The section "${start}" has no "${end}".`);
  return page.slice(0, from) + whole + page.slice(to + end.length);
}

/**
 * @param {BenchResult} all
 * @param {string} name
 * @param {string} body what the experiment says of itself
 * @param {Record<string, string>} images paths by title
 */
export function sectionOf(all, name, body, images) {
  const command = commandOf(all.options.argv, name);
  const shown = Object.entries(images).map(([title, file]) => `![${title}](${file})`);
  return [
    `${all.machine.date.slice(0, 10)}, \`${command}\`, ${describeMachine(all.machine)}:`,
    body,
    ...(shown.length > 0 ? [shown.join('\n')] : []),
  ].join('\n\n');
}

/**
 * @param {string} file
 * @param {BenchResult} all
 * @param {string} name of the experiment that was just measured
 * @param {string} body
 */
export function writeReport(file, all, name, body) {
  const page = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const { charts } = all.options;
  const drawn = charts ? Object.entries(chartsOf({ ...all, results: { [name]: all.results[name] } })) : [];
  const place = (/** @type {string} */ chart) =>
    path.relative(path.dirname(path.resolve(file)), path.resolve(charts ?? '.', `${chart}.svg`)).replaceAll('\\', '/');
  const title = (/** @type {string} */ svg) => /<title>(.*)<\/title>/.exec(svg)?.[1] ?? '';
  const images = Object.fromEntries(drawn.map(([chart, svg]) => [title(svg), place(chart)]));
  writeFileSync(file, withSection(page, name, sectionOf(all, name, body, images)));
}
