// Builds the real @tensorflow/tfjs-node for tests and benchmarks in .tfjs-node (git-ignored), over the TensorFlow
// library of .venv-oracle (scripts/oracle.mjs): its own install script downloads one, which not every machine can do.
// Users don't need this: their `npm install @tensorflow/tfjs-node` does it all. Idempotent; tests that need it skip
// without it.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const version = '4.22.0';
const root = fileURLToPath(new URL('..', import.meta.url));
const home = path.join(root, '.tfjs-node');
const addonPackage = path.join(home, 'node_modules', '@tensorflow', 'tfjs-node');

// From Node 23 on, tfjs-node's ops fail for want of util.isNullOrUndefined.
const major = Number(process.versions.node.split('.')[0]);
if (major < 18 || major > 22) fail(`needs Node 18 to 22, this is ${process.version}`);

const tensorflow = findTensorFlow();
const inside = (...names) => path.join(addonPackage, ...names);

if (works()) {
  console.log(`tfjs-node: ${version} over TensorFlow ${tensorflow.version} is in .tfjs-node`);
} else {
  console.log(`tfjs-node: building ${version} over TensorFlow ${tensorflow.version} in .tfjs-node`);
  try {
    install();
    linkTensorFlow();
    compile();
  } catch (error) {
    fail(`${error.message}\ntfjs-node: needs a package registry, a C++ compiler, make, Python 3 and Node's headers`);
  }
  const broken = whyBroken();
  if (broken !== null) fail(`built, but can't be loaded:\n${broken}`);
}

function findTensorFlow() {
  const libraries = path.join(root, '.venv-oracle', 'lib');
  const pythons = existsSync(libraries) ? readdirSync(libraries).filter((name) => name.startsWith('python3')) : [];
  for (const python of pythons) {
    const packages = path.join(libraries, python, 'site-packages');
    const folder = path.join(packages, 'tensorflow');
    if (!existsSync(path.join(folder, 'libtensorflow_cc.so.2'))) continue;
    const info = readdirSync(packages).find((name) => /^tensorflow(_cpu)?-[\d.]+\.dist-info$/.test(name));
    return { folder, version: info?.match(/-([\d.]+)\.dist-info$/)[1] ?? 'unknown' };
  }
  return fail('no TensorFlow in .venv-oracle: run `node scripts/oracle.mjs` first');
}

function install() {
  mkdirSync(home, { recursive: true });
  const manifest = { private: true, dependencies: { '@tensorflow/tfjs-node': version } };
  writeFileSync(path.join(home, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: home,
    stdio: 'inherit',
  });
}

/** The layout that binding.gyp of tfjs-node links with. */
function linkTensorFlow() {
  rmSync(inside('deps'), { recursive: true, force: true });
  mkdirSync(inside('deps', 'lib'), { recursive: true });
  symlinkSync(path.join(tensorflow.folder, 'include'), inside('deps', 'include'));
  for (const name of ['libtensorflow_cc', 'libtensorflow_framework']) {
    symlinkSync(path.join(tensorflow.folder, `${name}.so.2`), inside('deps', 'lib', `${name}.so.2`));
  }
  symlinkSync('libtensorflow_cc.so.2', inside('deps', 'lib', 'libtensorflow.so'));
  symlinkSync('libtensorflow_framework.so.2', inside('deps', 'lib', 'libtensorflow_framework.so'));
}

function compile() {
  // Headers beside this Node, where they are; else node-gyp downloads them.
  const prefix = path.dirname(path.dirname(process.execPath));
  const beside = existsSync(path.join(prefix, 'include', 'node', 'node_api.h'));
  const env = beside ? { ...process.env, npm_config_nodedir: prefix } : process.env;
  const { status, stdout, stderr } = spawnSync(
    'npx',
    ['--no-install', 'node-pre-gyp', 'install', '--build-from-source'],
    { cwd: addonPackage, env, encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`node-pre-gyp failed:\n${`${stdout}${stderr}`.slice(-4000)}`);
}

function works() {
  if (!existsSync(inside('package.json'))) return false;
  if (JSON.parse(readFileSync(inside('package.json'), 'utf8')).version !== version) return false;
  return whyBroken() === null;
}

/** Loads it in a process of its own and multiplies once; null if that worked. */
function whyBroken() {
  const probe = `
    const tf = require('@tensorflow/tfjs-node');
    if (tf.getBackend() !== 'tensorflow') throw new Error('the backend is ' + tf.getBackend());
    if (tf.matMul([[2]], [[3]]).dataSync()[0] !== 6) throw new Error('2 times 3 is not 6');
    process.exit(tf.backend().binding.TF_Version === ${JSON.stringify(tensorflow.version)} ? 0 : 3);`;
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3' };
  const { status, stderr } = spawnSync(process.execPath, ['-e', probe], { cwd: home, env, encoding: 'utf8' });
  if (status === 0) return null;
  return status === 3 ? 'it was built over another TensorFlow' : stderr.slice(-4000);
}

function fail(message) {
  console.error(`tfjs-node: ${message}`);
  process.exit(1);
}
