// @ts-check
// What a save or a restore costs the process that does it, beside time.
import { readFileSync, writeFileSync } from 'node:fs';

const TICK_MS = 1;

/**
 * Runs `work` and reports seconds, CPU seconds (also those of the JavaScript thread alone, which has the timer of this
 * function, too), every stall of the event loop and when the longest one ended, the part in which `work` itself ran before
 * it first waited, pages that the process had to wait for a disk for, how long the host of a virtual machine kept its
 * processors (all of them together) for others, and the growth of peak memory. `preparedMs` passed before `work` was called.
 * @template T
 * @param {() => Promise<T>} work
 */
export async function observe(work) {
  const called = performance.now();
  globalThis.gc?.(); // The garbage of what was before is not this work's.
  // Nor is the rest of the collection: threads sweep the heap, and whoever allocates meanwhile has to help.
  const collectedMs = performance.now() - called;
  const before = resetPeak();
  const faultsBefore = process.resourceUsage().majorPageFault;
  const stolenBefore = stolenMs();
  /** @type {number[]} */
  let stalls = [];
  let last = performance.now();
  let longest = { ms: 0, at: 0 };
  const note = (/** @type {number} */ now) => {
    const ms = Math.max(0, now - last - TICK_MS);
    stalls.push(ms);
    if (ms > longest.ms) longest = { ms, at: now };
  };
  // A timer due every millisecond: what it is late by is what a training step would have waited.
  const timer = setInterval(() => {
    const now = performance.now();
    note(now);
    last = now;
  }, TICK_MS);
  await new Promise((resolve) => setTimeout(resolve, Math.max(5, collectedMs)));
  stalls = [];
  longest = { ms: 0, at: 0 };
  last = performance.now();
  const cpuBefore = process.cpuUsage();
  const threadBefore = threadSeconds();
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
  note(end);
  const cpu = process.cpuUsage(cpuBefore);
  const threadCpuSeconds = threadSeconds() - threadBefore;
  return {
    result,
    preparedMs: start - called,
    seconds: (end - start) / 1000,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    threadCpuSeconds,
    gapMs: longest.ms,
    gapEndsAtMs: longest.at === 0 ? 0 : longest.at - start,
    beginMs,
    majorFaults: process.resourceUsage().majorPageFault - faultsBefore,
    stolenMs: stolenMs() - stolenBefore,
    stallsMs: stalls.map((stall) => Math.round(stall * 100) / 100),
    extraBytes: Math.max(0, memoryStatus('VmHWM') - before),
  };
}

/** What the kernel counts as stolen from all processors since the machine was started. It counts hundredths of a second. */
function stolenMs() {
  try {
    return Number(readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.split(/ +/)[8] ?? 0) * 10;
  } catch {
    return 0;
  }
}

/** How long this process's first thread, Node's, has run. 0 where the system doesn't say. */
function threadSeconds() {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ', 1)[0]) / 1e9;
  } catch {
    return 0;
  }
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
