// Runs the tests of the addon and of TensorFlow.js with other versions of Node, which npm has as packages: the addon speaks
// Node-API, so that the one that is built serves them all. TensorFlow.js on its cpu backend everywhere; with tfjs-node, if it
// was built (scripts/tfjs-node.mjs), up to Node 22, since tfjs-node 4.22 fails from 23 on. Interop with Python is left to
// `npm test`.
// Arguments: the versions. Default: 22 and 24, without the one that runs this.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const own = process.versions.node.split('.')[0];
const given = process.argv.slice(2);
const versions = given.length > 0 ? given : ['22', '24'].filter((version) => version !== own);

const TFJS_NODE_UP_TO = 22;

const failed = [];
for (const version of versions) {
  if (!/^\d+(\.\d+){0,2}$/.test(version)) {
    console.error(`node-versions: '${version}' is no version, such as 22 or 24.1.0.`);
    process.exit(2);
  }
  console.log(`Node ${version}:`);
  const suites = [
    'test/tfjs/',
    'test/native/',
    ...(Number.parseInt(version, 10) <= TFJS_NODE_UP_TO ? ['test/tfjs-node/'] : []),
  ];
  const vitest = ['node', 'node_modules/vitest/vitest.mjs', 'run', ...suites];
  const { status } = spawnSync('npx', ['--yes', '--package', `node@${version}`, ...vitest], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, TENSOR_CHECKPOINT_ORACLE: 'none' },
  });
  if (status !== 0) failed.push(version);
}
console.log(
  failed.length === 0 ? `passed with Node ${versions.join(' and ')}` : `FAILED with Node ${failed.join(' and ')}`,
);
process.exit(failed.length === 0 ? 0 : 1);
