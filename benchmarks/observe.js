// What a save or a restore costs the process that does it, beside time.
import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Runs `work` and reports seconds, CPU seconds, the longest gap of the event loop, the part of it in which
 * `work` itself ran before it first waited, and the growth of peak memory.
 */
export async function observe(work) {
  globalThis.gc?.(); // The garbage of what was before is not this work's.
  const before = resetPeak();
  const cpuBefore = process.cpuUsage();
  let gap = 0;
  let last = performance.now();
  // A timer due every millisecond: what it is late by is what a training step would have waited.
  const timer = setInterval(() => {
    const now = performance.now();
    gap = Math.max(gap, now - last - 1);
    last = now;
  }, 1);
  await new Promise((resolve) => setTimeout(resolve, 5));
  gap = 0;
  last = performance.now();
  const start = performance.now();
  const pending = work();
  const beginMs = performance.now() - start;
  const result = await pending;
  const end = performance.now();
  gap = Math.max(gap, end - last - 1);
  clearInterval(timer);
  const cpu = process.cpuUsage(cpuBefore);
  return {
    result,
    seconds: (end - start) / 1000,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    gapMs: gap,
    beginMs,
    extraBytes: Math.max(0, status('VmHWM') - before),
  };
}

function resetPeak() {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // Without the right to reset it, the peak so far is the base, which only makes the growth look smaller.
  }
  return status('VmRSS');
}

function status(field) {
  const match = new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync('/proc/self/status', 'utf8'));
  return match ? Number(match[1]) * 1024 : 0;
}
