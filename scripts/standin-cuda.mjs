// Builds what the tests of the device path run on: the stand-in CUDA driver, the same as an old driver, and the addon that
// plays another CUDA library (test/standin-cuda). Does nothing where all is up to date; several at a time take turns.
// Exit status 3: there is no compiler.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const directory = `${root}test/standin-cuda/`;
const outputs = ['standin_cuda', 'standin_cuda_old', 'other_library'].map(
  (name) => `${directory}build/Release/${name}.node`,
);
const lock = `${directory}build.lock`;
const LOCK_STALE_MS = 300_000;

if (isUpToDate()) process.exit(0);
if (spawnSync(process.env.CXX ?? 'g++', ['--version']).error !== undefined) {
  console.error('standin-cuda: no C++ compiler was found (Debian and Ubuntu: apt-get install g++ make)');
  process.exit(3);
}
takeLock();
try {
  // Whoever had the lock may have built it.
  if (!isUpToDate()) build();
} finally {
  rmSync(lock, { recursive: true, force: true });
}

function build() {
  for (const command of ['configure', 'build']) {
    const { status, stdout, stderr } = spawnSync(
      // By npm, which knows where this machine has Node's headers.
      'npm',
      ['exec', '--no', '--', 'node-gyp', command, '--directory', directory],
      { encoding: 'utf8', cwd: root },
    );
    if (status === 0) continue;
    console.error(`standin-cuda: node-gyp ${command} failed\n${stdout}${stderr}`);
    process.exitCode = 1;
    return;
  }
  // Outputs that had not to be built again are as new all the same.
  spawnSync('touch', outputs);
}

function isUpToDate() {
  const sources = ['test/standin-cuda', 'native/device', 'native/base'].flatMap((folder) =>
    readdirSync(root + folder)
      .filter((name) => /\.(cc|h|cu|gyp)$/.test(name) && !/_test\.cc$/.test(name))
      .map((name) => `${root}${folder}/${name}`),
  );
  const built = outputs.map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  return Math.min(...built) >= Math.max(...sources.map((path) => statSync(path).mtimeMs));
}

function takeLock() {
  for (;;) {
    try {
      mkdirSync(lock);
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
    if (since !== undefined && Date.now() - since > LOCK_STALE_MS) rmSync(lock, { recursive: true, force: true });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  }
}
