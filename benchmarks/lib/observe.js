// @ts-check
// What a save or a restore costs the process that does it, beside time.
import { readFileSync, writeFileSync } from 'node:fs';

const TICK_MS = 1;

/**
 * Runs `work` and reports seconds, CPU seconds, every stall of the event loop, the part of it in which `work` itself ran
 * before it first waited, and the growth of peak memory. `preparedMs` passed before `work` was called.
 * @template T
 * @param {() => Promise<T>} work
 */
export async function observe(work) {
  const called = performance.now();
  globalThis.gc?.(); // The garbage of what was before is not this work's.
  const before = resetPeak();
  const cpuBefore = process.cpuUsage();
  /** @type {number[]} */
  let stalls = [];
  let last = performance.now();
  // A timer due every millisecond: what it is late by is what a training step would have waited.
  const timer = setInterval(() => {
    const now = performance.now();
    stalls.push(Math.max(0, now - last - TICK_MS));
    last = now;
  }, TICK_MS);
  await new Promise((resolve) => setTimeout(resolve, 5));
  stalls = [];
  last = performance.now();
  const start = performance.now();
  let result;
  let beginMs = 0;
  try {
    const pending = work();
    beginMs = performance.now() - start;
    result = await pending;
  } finally {
    clearInterval(timer);
  }
  const end = performance.now();
  stalls.push(Math.max(0, end - last - TICK_MS));
  const cpu = process.cpuUsage(cpuBefore);
  return {
    result,
    preparedMs: start - called,
    seconds: (end - start) / 1000,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    gapMs: stalls.reduce((most, stall) => Math.max(most, stall), 0),
    beginMs,
    stallsMs: stalls.map((stall) => Math.round(stall * 100) / 100),
    extraBytes: Math.max(0, memoryStatus('VmHWM') - before),
  };
}

function resetPeak() {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // Without the right to reset it, the peak so far is the base, which only makes the growth look smaller.
  }
  return memoryStatus('VmRSS');
}

/** A field of /proc/self/status in bytes. @param {string} field */
export function memoryStatus(field) {
  const match = new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync('/proc/self/status', 'utf8'));
  return match ? Number(match[1]) * 1024 : 0;
}
