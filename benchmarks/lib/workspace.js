// @ts-check
// The benchmark's place on the disk under test, and everything that must be gone when it ends: its files, its children,
// its timers. However it ends: done, failed, Ctrl-C, a closed terminal.
import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, statfsSync, statSync } from 'node:fs';
import path from 'node:path';
import { formatSize, UsageError } from './units.js';

const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

export class Workspace {
  /** A new directory below the one given; the only place that is written to. */
  directory;
  #children = new Set();
  #closed = false;
  #onSignal = (/** @type {NodeJS.Signals} */ signal) => {
    this.close();
    process.exit(128 + { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 }[/** @type {'SIGINT'} */ (signal)]);
  };
  #onExit = () => this.close();

  /**
   * @param {string} base an existing directory on the disk under test
   * @throws UsageError where it is missing, no directory or not writable
   */
  constructor(base) {
    let info;
    try {
      info = statSync(base);
    } catch (cause) {
      throw new UsageError(
        `${base} can't be looked at: ${/** @type {Error} */ (cause).message}. Name a directory on the disk to measure.`,
      );
    }
    if (!info.isDirectory()) throw new UsageError(`${base} is no directory. Name one on the disk to measure.`);
    try {
      accessSync(base, constants.W_OK | constants.X_OK);
      this.directory = mkdtempSync(path.join(base, 'tensor-checkpoint-bench-'));
    } catch (cause) {
      throw new UsageError(`${base} can't be written to: ${/** @type {Error} */ (cause).message}.`);
    }
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    process.on('exit', this.#onExit);
  }

  /** @param {string} name */
  path(name) {
    return path.join(this.directory, name);
  }

  /**
   * @param {number} bytes
   * @param {string} what
   * @throws UsageError where the disk has less room than that
   */
  needRoom(bytes, what) {
    const { bavail, bsize } = statfsSync(this.directory);
    if (bavail * bsize < bytes) {
      throw new UsageError(
        `${what} needs ${formatSize(bytes)} of room, and ${path.dirname(this.directory)} has ${formatSize(bavail * bsize)}. Use a smaller --size or another directory.`,
      );
    }
  }

  /** @param {string} name */
  remove(name) {
    rmSync(this.path(name), { recursive: true, force: true });
  }

  /**
   * Runs a command to its end. Its standard error is kept for the message of a failure.
   * @param {string} command
   * @param {readonly string[]} args
   * @param {{ env?: Record<string, string>, input?: string, timeout?: number }} [options]
   * @returns {Promise<{ stdout: string, stderr: string, seconds: number }>}
   */
  async run(command, args, { env, input, timeout } = {}) {
    const start = performance.now();
    const child = this.start(command, args, { env });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      stderr = (stderr + chunk).slice(-20_000);
    });
    child.stdin.on('error', () => {}); // A child that ends early is told of by its exit.
    child.stdin.end(input ?? '');
    const timer = timeout ? setTimeout(() => child.kill('SIGKILL'), timeout * 1000) : undefined;
    const [status, signal] = await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (...end) => resolve(end));
    }).finally(() => clearTimeout(timer));
    if (status !== 0) {
      const end = signal ? `was ended by ${signal}` : `exited with ${status}`;
      throw new CommandError(`${path.basename(command)} ${end}: ${lastLines(stderr || stdout)}`, stderr);
    }
    return { stdout, stderr, seconds: (performance.now() - start) / 1000 };
  }

  /**
   * A child in a process group of its own, so that it and its children end with the workspace.
   * @param {string} command
   * @param {readonly string[]} args
   * @param {{ env?: Record<string, string>, ipc?: boolean }} [options]
   */
  start(command, args, { env, ipc = false } = {}) {
    if (this.#closed) throw new Error('The benchmark has ended.');
    const child = spawn(command, args, {
      detached: true,
      env: { ...process.env, ...env },
      stdio: ipc ? ['pipe', 'pipe', 'pipe', 'ipc'] : ['pipe', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    child.on('close', () => this.#children.delete(child));
    return /** @type {import('node:child_process').ChildProcessWithoutNullStreams} */ (child);
  }

  /** Ends what is still running and removes the directory. Idempotent. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    process.off('exit', this.#onExit);
    for (const child of this.#children) {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
    if (this.directory) rmSync(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

/** A command that did not succeed; `stderr` has what it said. */
export class CommandError extends Error {
  /** @param {string} message @param {string} stderr */
  constructor(message, stderr) {
    super(message);
    this.stderr = stderr;
  }
}

/** @param {string} text */
function lastLines(text) {
  return text.trim().split('\n').slice(-6).join('\n') || 'it said nothing';
}
