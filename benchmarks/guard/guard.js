#!/usr/bin/env node
// @ts-check
// `npm run guard [-- --update] [--required]`: did a change make saves and restores cost more? Nothing is timed, so a busy
// machine changes nothing. The baseline is committed; --update writes it anew, and the commit says why it changed.
// --required: a tool that is missing fails the run, too (CI).
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compare, passes } from './compare.js';
import { measure } from './measure.js';

const file = fileURLToPath(new URL('baseline.json', import.meta.url));
const { values } = parseArgs({ options: { update: { type: 'boolean' }, required: { type: 'boolean' } } });

const terminal = process.stderr.isTTY;
const { measured, skipped } = measure((text) => terminal && process.stderr.write(`\r\x1b[K${text} …`));
if (terminal) process.stderr.write('\r\x1b[K');

if (values.update) {
  const before = readBaseline();
  // A tolerance that somebody set by hand stays; metrics whose tool is missing here keep their value.
  const kept = Object.entries(before).filter(
    ([metric]) => !measured[metric] && Object.keys(skipped).some((prefix) => metric.startsWith(prefix)),
  );
  const next = {
    ...Object.fromEntries(kept),
    ...Object.fromEntries(
      Object.entries(measured).map(([metric, one]) => [
        metric,
        { ...one, tolerance: before[metric]?.tolerance ?? one.tolerance },
      ]),
    ),
  };
  const sorted = Object.fromEntries(Object.entries(next).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(file, `${JSON.stringify(sorted, null, 2)}\n`);
  console.log(`guard: wrote ${Object.keys(sorted).length} metrics; say in the commit why they changed`);
} else {
  const verdicts = compare(readBaseline(), measured, skipped);
  const names = { worse: 'WORSE  ', better: 'better ', same: '', new: 'NEW    ', missing: 'MISSING' };
  for (const { metric, kind, text } of verdicts) if (kind !== 'same') console.log(`${names[kind]} ${metric}: ${text}`);
  const better = verdicts.filter(({ kind }) => kind === 'better').length;
  if (better > 0)
    console.log('guard: what became better is only guarded once it is in the baseline: npm run guard -- --update');
  const ok = passes(verdicts, { required: values.required ?? false, skipped });
  console.log(
    `guard: ${verdicts.filter(({ kind }) => kind === 'same' || kind === 'better').length} of ${verdicts.length} metrics within their bounds${ok ? '' : ': FAILED'}`,
  );
  if (!ok) process.exitCode = 1;
}

/** @returns {Record<string, import('./compare.js').Expected>} */
function readBaseline() {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (values.update && /** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return {};
    throw error;
  }
}
