// @ts-check
// What strace saw of one save: how many flushes there were, and how many of them one after the other.

/** @typedef {{ call: string, text: string, start: number, end: number, failed: boolean }} Call */

/**
 * The calls in the output of `strace -f -ttt -T`, in the order in which they began. Calls that never returned are left out.
 * @param {string} trace
 * @returns {Call[]}
 */
export function parseStrace(trace) {
  /** @type {Map<string, { call: string, text: string, start: number }>} */
  const open = new Map();
  /** @type {Call[]} */
  const calls = [];
  for (const line of trace.split('\n')) {
    const match = /^(\d+)\s+(\d+\.\d+)\s+(.*)$/.exec(line);
    if (!match) continue;
    const [, thread = '', time = '', rest = ''] = match;
    const took = /<(\d+\.\d+)>$/.exec(rest);
    const resumed = /^<\.\.\. (\w+) resumed>/.exec(rest);
    if (resumed) {
      const begun = open.get(thread);
      open.delete(thread);
      if (begun && took)
        calls.push({
          ...begun,
          text: begun.text + rest,
          end: begun.start + Number(took[1]),
          failed: / = -1 /.test(rest),
        });
      continue;
    }
    const call = /^(\w+)\(/.exec(rest)?.[1];
    if (!call) continue;
    if (rest.endsWith('<unfinished ...>')) open.set(thread, { call, text: rest, start: Number(time) });
    else if (took)
      calls.push({
        call,
        text: rest,
        start: Number(time),
        end: Number(time) + Number(took[1]),
        failed: / = -1 /.test(rest),
      });
  }
  return calls.sort((a, b) => a.start - b.start);
}

/**
 * The flushes of the save of one checkpoint: from the first file that is created for it until the directory is flushed
 * after the state file was renamed into place.
 * @param {readonly Call[]} calls
 * @param {string} prefix the checkpoint's name, such as ckpt-3
 */
export function flushesOf(calls, prefix) {
  const begin = calls.findIndex(
    ({ text, failed }) => !failed && text.includes(`/${prefix}.`) && text.includes('O_CREAT'),
  );
  if (begin < 0) throw new Error(`strace saw no file of ${prefix} being created.`);
  const isFlush = (/** @type {Call} */ { call }) => /^(fsync|fdatasync|syncfs|sync|msync|sync_file_range)$/.test(call);
  const isRename = (/** @type {Call} */ { call }) => call.startsWith('rename');
  const named = calls.findIndex((call, index) => index > begin && isRename(call) && /\/checkpoint"/.test(call.text));
  if (named < 0) throw new Error(`strace saw no state file being renamed into place after ${prefix}.`);
  const end = calls.findIndex((call, index) => index > named && isFlush(call));
  if (end < 0) throw new Error('strace saw no flush after the state file was renamed.');
  const flushes = calls.slice(begin, end + 1).filter(isFlush);
  return {
    calls: flushes.length,
    serial: serialGroups(flushes),
    renames: calls.slice(begin, end + 1).filter(isRename).length,
  };
}

/** Flushes that overlap in time wait together: how often somebody has to wait. @param {readonly { start: number, end: number }[]} intervals */
export function serialGroups(intervals) {
  let groups = 0;
  let until = Number.NEGATIVE_INFINITY;
  for (const { start, end } of [...intervals].sort((a, b) => a.start - b.start)) {
    if (start >= until) groups++;
    until = Math.max(until, end);
  }
  return groups;
}
