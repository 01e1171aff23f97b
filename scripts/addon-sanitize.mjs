// Builds the addon under AddressSanitizer and UndefinedBehaviorSanitizer in a folder of its own and runs the native
// tests of the TypeScript side on it. What the C++ tests can't see (the Node-API binding) is seen here.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const copy = path.join(root, '.tmp', 'addon-sanitize');

rmSync(copy, { recursive: true, force: true });
mkdirSync(copy, { recursive: true });
for (const name of ['native', 'src', 'test', 'binding.gyp', 'package.json', 'tsconfig.json', 'vitest.config.ts']) {
  cpSync(path.join(root, name), path.join(copy, name), { recursive: true });
}
symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));

const flags = '-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g';
run('npm', ['run', 'build:native'], { CXXFLAGS: flags, LDFLAGS: '-fsanitize=address,undefined' });

const runtime = spawnSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim();
run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', 'test/native'], {
  LD_PRELOAD: runtime,
  // Node itself is not built for leak checking; what it keeps until exit would drown ours.
  ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
});

function run(command, args, env) {
  const result = spawnSync(command, args, { cwd: copy, stdio: 'inherit', env: { ...process.env, ...env } });
  if (result.status !== 0) process.exit(result.status ?? 1);
}
