// Builds the prebuilt addon of this platform into prebuilds/, as the published package carries it, and proves that it
// serves: the package is packed and installed in an empty folder where there is no compiler, and saves and restores.
//
//   node scripts/prebuild.mjs
//
// The C++ library is linked in, so that only the C library of the machine that builds sets how old a system may be.
// libgcc is not: its unwinder would need a newer one.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-prebuild-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

function run(command, args, cwd, env = {}) {
  return execFileSync(command, args, { cwd, encoding: 'utf8', env: { ...process.env, ...env }, maxBuffer: 1 << 28 });
}

/** Packs what npm would publish, and returns the archive's path. */
function pack(folder) {
  mkdirSync(folder, { recursive: true });
  const [{ filename }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root),
  );
  return join(folder, filename);
}

rmSync(join(root, 'prebuilds'), { recursive: true, force: true });

// In a copy of the sources as published: prebuildify moves what it built, and the working tree's own build stays.
run('tar', ['xf', pack(join(scratch, 'sources')), '-C', scratch], scratch);
const sources = join(scratch, 'package');
symlinkSync(join(root, 'node_modules'), join(sources, 'node_modules'));
const prefix = resolve(dirname(process.execPath), '..');
const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? { npm_config_nodedir: prefix } : {};
const prebuildify = join(root, 'node_modules/prebuildify/bin.js');
const target = `--target=${process.version}`;
run(process.execPath, [prebuildify, '--napi', '--strip', '--tag-libc', target, `--out=${root}`], sources, {
  ...headers,
  LDFLAGS: '-static-libstdc++ -Wl,--exclude-libs,ALL -Wl,--gc-sections',
});
const [platform] = readdirSync(join(root, 'prebuilds'));
const [addon] = readdirSync(join(root, 'prebuilds', platform));
console.log(`prebuilds/${platform}/${addon}`);

const user = join(scratch, 'user');
const archive = pack(user);
writeFileSync(join(user, 'package.json'), '{ "type": "module", "private": true }');
// Nothing that could compile is found, so that only the prebuilt addon can be what runs.
const bin = join(user, 'bin');
mkdirSync(bin);
for (const tool of ['node', 'npm', 'sh'])
  symlinkSync(run('sh', ['-c', `command -v ${tool}`], user).trim(), join(bin, tool));
const bare = { PATH: bin };
run('npm', ['install', '--no-audit', '--no-fund', archive], user, bare);
const installed = join(user, 'node_modules/tensor-checkpoint');
if (existsSync(join(installed, 'build'))) throw new Error('The package was compiled although a prebuilt addon fits.');
writeFileSync(
  join(user, 'use.js'),
  `import { Checkpoint, HostTensor, verifyCheckpoint } from 'tensor-checkpoint';
const weights = new HostTensor({ dtype: 'float32', shape: [3], data: new Float32Array([1, 2, 3]) });
const checkpoint = new Checkpoint({ weights });
const path = await checkpoint.save('./run/ckpt');
weights.data.fill(0);
await checkpoint.restore(path);
const { ok } = await verifyCheckpoint(path);
if (!ok || weights.data.join() !== '1,2,3') throw new Error('The checkpoint does not give back what was saved.');
`,
);
run(process.execPath, ['use.js'], user, bare);
console.log('1 passed, 0 failed: installed without a compiler, it saves and restores');
