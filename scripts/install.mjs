// npm's install step: uses a prebuilt addon that fits, else compiles it, and says what is missing when it can't.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);

/** Whether a prebuild fits and loads. A build from source is made anew: this script runs when sources have changed. */
function prebuildFits() {
  if (process.env.npm_config_build_from_source) return false;
  if (!existsSync(join(root, 'prebuilds'))) return false;
  // A working tree's sources may be newer than what was prebuilt in it.
  if (existsSync(join(root, '.git'))) return false;
  const before = process.env.PREBUILDS_ONLY;
  process.env.PREBUILDS_ONLY = '1';
  try {
    require('node-gyp-build')(root);
    return true;
  } catch {
    return false;
  } finally {
    if (before === undefined) delete process.env.PREBUILDS_ONLY;
    else process.env.PREBUILDS_ONLY = before;
  }
}

/** node-gyp as a development dependency has it, as npm brings it along, or as it is installed globally. */
function findNodeGyp() {
  try {
    return require.resolve('node-gyp/bin/node-gyp.js');
  } catch {
    // Not there: users of the package have only npm's own.
  }
  const candidates = [process.env.npm_config_node_gyp, npmsOwn()];
  return candidates.find((path) => path && existsSync(path));
}

function npmsOwn() {
  const npm = process.env.npm_execpath;
  return npm && resolve(dirname(npm), '../node_modules/node-gyp/bin/node-gyp.js');
}

/** Runs node-gyp with the headers of this very Node where they are installed beside it: then nothing is downloaded. */
function build() {
  const nodeGyp = findNodeGyp();
  const args = ['rebuild'];
  const prefix = resolve(dirname(process.execPath), '..');
  if (!process.env.npm_config_nodedir && existsSync(join(prefix, 'include/node/node_api.h'))) {
    args.push(`--nodedir=${prefix}`);
  }
  const [command, first] = nodeGyp ? [process.execPath, [nodeGyp]] : ['node-gyp', []];
  const result = spawnSync(command, [...first, ...args], { cwd: root, stdio: 'inherit' });
  return result.status === 0;
}

function runs(command, args = ['--version']) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** Lines that name each missing tool and how to get it. */
function missingTools() {
  const compiler = process.env.CXX ?? 'c++';
  const missing = [];
  if (!runs(compiler) && !runs('g++') && !runs('clang++')) {
    missing.push(
      'a C++20 compiler (g++ 11 or clang 14, or newer). Debian/Ubuntu: apt-get install g++; macOS: xcode-select --install',
    );
  }
  if (!runs('make') && !runs('gmake')) missing.push('make. Debian/Ubuntu: apt-get install make');
  if (!runs(process.env.PYTHON ?? process.env.npm_config_python ?? 'python3')) {
    missing.push('Python 3, which node-gyp runs on. Debian/Ubuntu: apt-get install python3');
  }
  if (!findNodeGyp() && !runs('node-gyp')) missing.push('node-gyp. npm install --global node-gyp');
  return missing;
}

if (!prebuildFits() && !build()) {
  const missing = missingTools();
  console.error('\ntensor-checkpoint: no prebuilt addon fits this platform, and building it from source failed.');
  console.error(`  platform: ${process.platform}-${process.arch}, Node ${process.version}`);
  if (missing.length > 0) {
    console.error('  Missing:');
    for (const tool of missing) console.error(`  - ${tool}`);
    console.error('  Install what is missing and run: npm rebuild tensor-checkpoint');
  } else {
    console.error('  A compiler, make and Python 3 were found; the reason is in the output above.');
    console.error(
      "  Without Node's headers on this machine node-gyp downloads them; --nodedir=<prefix> uses local ones.",
    );
  }
  process.exitCode = 1;
}
