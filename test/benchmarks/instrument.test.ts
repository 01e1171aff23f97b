import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { testDirectories } from '../support/directory.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const script = path.join(root, 'benchmarks/run.js');
const directoryOf = testDirectories();
const quick = ['--size', '4MiB', '--search', '1MiB', '--rounds', '2', '--peers', 'none', '--limit', 'raw'];
const built = existsSync(path.join(root, 'dist/index.js'));
const skip = built ? describe : describe.skip;
if (!built) console.warn('tests of the benchmark SKIPPED: dist/ is missing (npm run build:ts)');

/** What a search finds for files this small is nobody's business: it is kept in a directory of the tests. */
const environment = () => ({ ...process.env, XDG_CACHE_HOME: directoryOf() });
const run = (...args: string[]) =>
  spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', cwd: root, env: environment() });

skip('npm run bench', () => {
  it('measures, writes JSON and charts, and leaves the disk as it was', () => {
    const directory = directoryOf();
    const disk = path.join(directory, 'disk');
    mkdirSync(disk);
    const json = path.join(directory, 'result.json');
    const charts = path.join(directory, 'charts');
    const report = path.join(directory, 'page.md');
    writeFileSync(report, 'Before\n<!-- measured: throughput -->\nold\n<!-- end -->\nafter\n');
    const { status, stdout, stderr } = run(disk, ...quick, '--json', json, '--charts', charts, '--report', report);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/\| tensor-checkpoint, fresh memory +\| \d/);
    expect(readdirSync(disk)).toEqual([]);
    const { machine, results, command } = JSON.parse(readFileSync(json, 'utf8'));
    expect(machine).toMatchObject({ node: process.version, fileSystem: { type: expect.any(String) } });
    expect(command).not.toContain(disk);
    const [result] = results.throughput;
    expect(result.samples.rates.ours.write).toHaveLength(2);
    // The figures of the summary are those of the rounds.
    const ratios = [0, 1].map(
      (round) => result.samples.rates.ours.write[round] / result.samples.rates.limit.write[round],
    );
    expect(result.save.ofLimit.median).toBeCloseTo((ratios[0]! + ratios[1]!) / 2);
    expect(result.layout.bytes).toBeGreaterThan(3.5 * 2 ** 20);
    const page = readFileSync(report, 'utf8');
    expect(page).toMatch(
      /^Before\n<!-- measured: throughput -->\n\n[\s\S]+\| tensor-checkpoint[\s\S]+<!-- end -->\nafter\n$/,
    );
    expect(page).toContain('](charts/save-standard.svg)');
    expect(page).not.toContain('old\n<!--');
    expect(readdirSync(charts).sort()).toEqual(['resume-standard.svg', 'save-standard.svg', 'stalls-standard.svg']);
  });

  it('prints nothing but JSON where JSON is asked for on standard output', () => {
    const { status, stdout } = run(directoryOf(), ...quick, '--json', '-');
    expect(status).toBe(0);
    expect(JSON.parse(stdout).results.throughput).toHaveLength(1);
  });

  it.each([
    ['a directory that is missing', (d: string) => [path.join(d, 'nowhere')], /can't be looked at/],
    ['a file in its place', (d: string) => [path.join(d, 'file')], /no directory/],
    ['a state that the disk or the memory has no room for', (d: string) => [d, '--size', '900TiB'], /room|memory/],
    ['an option that it does not know', (d: string) => [d, '--fast'], /fast/],
    [
      'an environment without the peers',
      (d: string) => [d, ...quick.slice(0, 6), '--limit', 'raw', '--peers', 'torch', '--python', '/bin/false'],
      /--python/,
    ],
  ])('refuses %s, with status 2 and no stack', (_, args, message) => {
    const directory = directoryOf();
    writeFileSync(path.join(directory, 'file'), '');
    const { status, stderr } = run(...args(directory));
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/ {4}at /);
    expect(readdirSync(directory)).toEqual(['file']);
  });

  it('cleans up when it is interrupted in the middle of its work, children included', async () => {
    const directory = directoryOf();
    const child = spawn(process.execPath, [script, directory, ...quick, '--rounds', '1000'], {
      cwd: root,
      env: environment(),
    });
    await new Promise<void>((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => text.includes('1/1000') && resolve());
      child.once('exit', (status) => reject(new Error(`ended with ${status} before it was interrupted`)));
    });
    expect(readdirSync(directory)).toHaveLength(1);
    child.removeAllListeners('exit');
    const ended = new Promise((resolve) => child.once('exit', (status) => resolve(status)));
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    expect(readdirSync(directory)).toEqual([]);
    // The saving process held the checkpoint's directory open; it must not live on.
    const running = spawnSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).stdout ?? '';
    expect(running).not.toContain(directory);
  });
});
