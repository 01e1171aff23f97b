import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';

/**
 * Access to real TensorFlow, the program that our behaviour is compared with. Tests that need it run where
 * `scripts/oracle.mjs` has installed it, and skip with a visible reason elsewhere.
 */

const root = fileURLToPath(new URL('../../', import.meta.url));
let found: string | null | undefined;
let reported = false;

/**
 * The Python that can `import tensorflow`: `TENSOR_CHECKPOINT_ORACLE` if set, else the project's `.venv-oracle`;
 * null where there is none. Set `TENSOR_CHECKPOINT_ORACLE=none` to run as a machine without TensorFlow would.
 */
export function oraclePython(): string | null {
  if (found === undefined) found = findPython();
  return found;
}

/** A `describe` that needs TensorFlow. Without it the block is skipped, and the reason is printed once per process. */
export function describeWithOracle(name: string, fn: () => void): void {
  if (oraclePython() !== null) {
    describe(name, fn);
    return;
  }
  if (!reported) {
    reported = true;
    process.stderr.write(
      'skipped: no TensorFlow (.venv-oracle); `node scripts/oracle.mjs` installs it, .ci/run does\n',
    );
  }
  describe.skip(`${name} (skipped: no TensorFlow)`, fn);
}

export interface OracleRun {
  args?: readonly string[];
  /** Written to the script's standard input. */
  input?: string;
  cwd?: string;
  /** @default 300 000 */
  timeoutMilliseconds?: number;
}

/**
 * Runs Python code in the oracle's environment and resolves to its standard output.
 *
 * @param script path of a file ending in `.py`, or the code itself
 * @throws Error with the script's standard error if it exits with anything but 0
 */
export function runOracle(script: string, run: OracleRun = {}): Promise<string> {
  const python = oraclePython();
  if (python === null) throw new Error('no TensorFlow here: guard this test with describeWithOracle');
  const isFile = script.endsWith('.py') && !script.includes('\n');
  const args = [...(isFile ? [script] : ['-c', script]), ...(run.args ?? [])];
  return new Promise((resolve, reject) => {
    const child = spawn(python, args, {
      cwd: run.cwd ?? root,
      env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3', CUDA_VISIBLE_DEVICES: '', PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: run.timeoutMilliseconds ?? 300_000,
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(Buffer.concat(out).toString());
      else {
        const log = Buffer.concat(err).toString();
        reject(new Error(`the TensorFlow script ended with ${signal ?? `exit status ${code}`}:\n${log.slice(-8000)}`));
      }
    });
    // A script that ends without reading its input is judged by its exit status, not by the broken pipe.
    child.stdin.on('error', () => {});
    child.stdin.end(run.input ?? '');
  });
}

function findPython(): string | null {
  const named = process.env.TENSOR_CHECKPOINT_ORACLE;
  if (named === 'none') return null;
  const python = named ?? `${root}.venv-oracle/bin/python`;
  if (!named && !existsSync(python)) return null;
  try {
    // Finding the module is enough, and takes milliseconds; importing it takes seconds.
    const probe = 'import importlib.util, sys; sys.exit(importlib.util.find_spec("tensorflow") is None)';
    execFileSync(python, ['-c', probe], { stdio: 'ignore' });
    return python;
  } catch {
    if (named) throw new Error(`TENSOR_CHECKPOINT_ORACLE=${named} is not a Python that has tensorflow`);
    return null;
  }
}
