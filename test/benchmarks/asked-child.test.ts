import { expect, it } from 'vitest';
import { AskedChild } from '../../benchmarks/lib/asked-child.js';
import { Workspace } from '../../benchmarks/lib/workspace.js';
import { testDirectories } from '../support/directory.ts';

const directoryOf = testDirectories();

/** A child that runs `script` for each question. */
function child(script: string) {
  const workspace = new Workspace(directoryOf());
  const program = `process.on('message', (q) => { if (q.op === 'end') return process.disconnect(); ${script} });
    process.send({ ready: true });`;
  return new AskedChild(workspace, 'the child', process.execPath, ['-e', program]);
}

it('is asked again and again, and ends', async () => {
  const asked = child('process.send({ twice: q.number * 2 })');
  expect(await asked.ask({ number: 2 })).toEqual({ twice: 4 });
  expect(await asked.ask({ number: 3 })).toEqual({ twice: 6 });
  await asked.end();
  await asked.end();
});

it('tells what it failed with', async () => {
  const asked = child(`process.send({ error: 'no room' })`);
  await expect(asked.ask({})).rejects.toThrow('no room');
  await asked.end();
});

it('that dies instead of answering is told of with its last words, also when asked again', async () => {
  const asked = child(`console.error('out of luck'); process.exit(3)`);
  await expect(asked.ask({})).rejects.toThrow(/the child ended with 3: out of luck/);
  await expect(asked.ask({})).rejects.toThrow();
  await asked.end();
});

it('that never becomes ready is told of', async () => {
  const asked = new AskedChild(new Workspace(directoryOf()), 'the child', process.execPath, ['-e', 'process.exit(4)']);
  await expect(asked.ask({})).rejects.toThrow(/ended with 4/);
  await asked.end();
});
