// Runs the tests of TensorFlow.js on its cpu backend with other versions of Node, which npm has as packages: the addon
// speaks Node-API, so that the one that is built serves them all. Interop with Python is left to `npm test`.
// Arguments: the versions. Default: 22 and 24, without the one that runs this.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const own = process.versions.node.split('.')[0];
const given = process.argv.slice(2);
const versions = given.length > 0 ? given : ['22', '24'].filter((version) => version !== own);

const failed = [];
for (const version of versions) {
  if (!/^\d+(\.\d+){0,2}$/.test(version)) {
    console.error(`node-versions: '${version}' is no version, such as 22 or 24.1.0.`);
    process.exit(2);
  }
  console.log(`Node ${version}:`);
  const vitest = ['node', 'node_modules/vitest/vitest.mjs', 'run', 'test/tfjs/'];
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
