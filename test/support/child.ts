import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = fileURLToPath(new URL('../../', import.meta.url));
const built = new Map<string, Promise<string>>();

/**
 * Compiles a TypeScript program of the tests, with the sources that it imports, into one file that plain Node runs:
 * for tests about other processes (kills, locks, a JS thread that never yields).
 *
 * @returns the file's path. It lies two levels below the package's root, where the native loader expects to be.
 */
export function compileChild(entry: URL): Promise<string> {
  const path = fileURLToPath(entry);
  let output = built.get(path);
  if (output === undefined) {
    output = compile(path);
    built.set(path, output);
  }
  return output;
}

async function compile(entry: string): Promise<string> {
  // Test files run in processes of their own: each compiles into a directory of its own.
  const hash = createHash('sha256').update(`${entry}${process.pid}`).digest('hex').slice(0, 12);
  const name = basename(entry).replace(/\.ts$/, `-${hash}`);
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      ssr: entry,
      outDir: `${root}build/test-children`,
      emptyOutDir: false,
      minify: false,
      target: 'node20',
      rollupOptions: { output: { entryFileNames: `${name}.mjs`, chunkFileNames: `${name}-[name].mjs` } },
    },
  });
  return `${root}build/test-children/${name}.mjs`;
}

/** Starts a compiled program; its output is this process's where it isn't piped. */
export function startChild(script: string, args: readonly string[] = []): ChildProcess {
  return spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'], cwd: root });
}
