import { describe, expect, it } from 'vitest';
import { announceWrite, enterPrefix, Lane, leavePrefix, writesOf } from '../../src/checkpoint/lanes.ts';
import { parseIndexMark, temporaryName } from '../../src/checkpoint/temporary-names.ts';

describe('a lane', () => {
  it('is entered in the same turn where it is idle, else in order', async () => {
    const lane = new Lane();
    const order: number[] = [];
    expect(lane.enter()).toBeUndefined();
    const second = lane.enter()!.then(() => order.push(2));
    const third = lane.enter()!.then(() => order.push(3));
    order.push(1);
    lane.leave();
    await second;
    lane.leave();
    await third;
    lane.leave();
    expect(order).toEqual([1, 2, 3]);
    expect(lane.idle).toBe(true);
  });

  it('of a prefix is shared by all who write to it, and by no other prefix', async () => {
    expect(enterPrefix('/a')).toBeUndefined();
    expect(enterPrefix('/b')).toBeUndefined();
    let entered = false;
    const waiting = enterPrefix('/a')!.then(() => {
      entered = true;
    });
    leavePrefix('/b');
    await Promise.resolve();
    expect(entered).toBe(false);
    leavePrefix('/a');
    await waiting;
    leavePrefix('/a');
    expect(enterPrefix('/a')).toBeUndefined();
    leavePrefix('/a');
  });
});

describe('writes under way', () => {
  it('are waited for by who touches one of their objects, and by nobody else', async () => {
    const [a, b] = [{}, {}];
    let fail!: (error: Error) => void;
    const done = new Promise<void>((_, reject) => {
      fail = reject;
    });
    announceWrite(new Map([[a, 0]]), done);
    expect(writesOf([b])).toBeUndefined();
    const waiting = writesOf([b, a]);
    expect(waiting).toBeInstanceOf(Promise);
    fail(new Error('the write failed'));
    await waiting; // Whether it failed is not the reader's concern.
    expect(writesOf([a])).toBeUndefined();
  });
});

describe('temporary names', () => {
  it('of an index say which prefix is being written, and by whom', () => {
    for (const base of ['ckpt-1', 'a.index', 'x.index.tmp-1-000000000000', 'g[1]']) {
      expect(parseIndexMark(temporaryName(`${base}.index`))).toEqual({ base, pid: process.pid });
    }
  });

  it('are never seen in files of others', () => {
    for (const name of [
      'ckpt-1.index',
      'ckpt-1.index.tmp',
      'ckpt.index.tmp-1-00',
      '.index.tmp-1-0123456789ab',
      'checkpoint.tmp-1-0123456789ab',
      'ckpt-1.index.tmp-1-0123456789AB',
    ]) {
      expect(parseIndexMark(name), name).toBeUndefined();
    }
  });

  it('differ every time', () => {
    expect(new Set(Array.from({ length: 1000 }, () => temporaryName('x'))).size).toBe(1000);
  });
});
