// @ts-check
// Which resource a transfer ran against, as far as the figures of one process can tell.

/**
 * @param {{ rate: number, limit?: number, seconds: number, cpuSeconds: number, cores: number, syncSeconds?: number,
 *   firstTouchRate?: number, otherCpu?: number }} figures `rate` and `limit` in bytes a second; `cpuSeconds` of the
 *   process over `seconds`; `syncSeconds` in which nothing but flushes was under way; `firstTouchRate` at which fresh
 *   memory comes into being, where the transfer needed some
 * @returns {{ resource: 'disk' | 'cpu' | 'flushes' | 'fresh memory' | 'latency', because: string }}
 */
export function limitingResource({ rate, limit, seconds, cpuSeconds, cores, syncSeconds = 0, firstTouchRate }) {
  const percent = (/** @type {number} */ value) => `${Math.round(value * 100)} %`;
  const busy = cpuSeconds / (seconds * cores);
  if (limit && rate / limit >= 0.9) {
    return { resource: 'disk', because: `${percent(rate / limit)} of what the disk gives` };
  }
  if (firstTouchRate && (!limit || firstTouchRate < limit) && rate >= 0.6 * firstTouchRate) {
    return {
      resource: 'fresh memory',
      because: `touching new pages alone runs at ${(firstTouchRate / 1e9).toFixed(2)} GB/s`,
    };
  }
  if (busy >= 0.8) return { resource: 'cpu', because: `${percent(busy)} of ${cores} cores were busy` };
  if (syncSeconds / seconds >= 0.5) {
    return { resource: 'flushes', because: `${percent(syncSeconds / seconds)} of the time passed in flushes` };
  }
  return {
    resource: 'latency',
    because: `neither disk (${limit ? percent(rate / limit) : 'limit unknown'}) nor cores (${percent(busy)}) were full: requests waited for one another`,
  };
}
