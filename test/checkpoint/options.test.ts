import { describe, expect, it } from 'vitest';
import { normalizeReadOptions, normalizeWriteOptions, type WriteOptions } from '../../src/checkpoint/options.ts';

const normalize = (options: unknown) => normalizeWriteOptions(options as WriteOptions, 'save');

describe('write options', () => {
  it('have the documented defaults', () => {
    expect(normalize(undefined)).toMatchObject({
      enableAsync: false,
      snapshot: 'borrow',
      whenBusy: 'wait',
      durable: true,
      stagingBytes: 256 * 1024 * 1024,
      threads: 0,
      writeCallbacks: [],
    });
  });

  it('copy by default what is saved in the background', () => {
    expect(normalize({ enableAsync: true }).snapshot).toBe('copy');
    expect(normalize({ enableAsync: true, snapshot: 'borrow' }).snapshot).toBe('borrow');
  });

  it.each([
    ['enable_async', /unknown option 'enable_async'. Did you mean 'enableAsync'/],
    ['duarble', /Did you mean 'durable'/],
    ['shard', /Did you mean 'shards'/],
    ['fsyncEverything', /unknown option 'fsyncEverything'. Known: enableAsync/],
  ])('name a misspelt %s', (name, message) => {
    expect(() => normalize({ [name]: true })).toThrow(message);
  });

  it.each([
    [{ shards: 0 }, /shards must be an integer from 1 to 99999, not 0/],
    [{ shards: 1.5 }, /shards/],
    [{ shards: '2' }, /not "2"/],
    [{ shards: 100_000 }, /shards/],
    [{ maxShardBytes: Number.NaN }, /maxShardBytes/],
    [{ threads: -1 }, /threads/],
    [{ stagingBytes: 10 }, /stagingBytes must be an integer from 1048576/],
    [{ snapshot: 'clone' }, /snapshot must be 'borrow' or 'copy', not "clone"/],
    [{ whenBusy: 'fail' }, /whenBusy/],
    [{ durable: 1 }, /durable must be true or false/],
    [{ enableAsync: 'yes' }, /enableAsync/],
    [{ signal: {} }, /signal must be an AbortSignal/],
    [{ onProgress: 3 }, /onProgress must be a function/],
    [{ writeCallbacks: () => {} }, /writeCallbacks must be an array/],
    [{ writeCallbacks: [1] }, /writeCallbacks/],
    [[], /options must be an object, not an array/],
    [null, /options must be an object/],
  ])('refuse %j', (options, message) => {
    let error: unknown;
    try {
      normalize(options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
  });

  it('are copied and frozen: the caller’s object and arrays are never changed and may change', () => {
    const callbacks = [() => {}];
    const given = Object.freeze({ writeCallbacks: callbacks });
    const normalized = normalize(given);
    callbacks.push(() => {});
    expect(normalized.writeCallbacks).toHaveLength(1);
    expect(Object.isFrozen(normalized)).toBe(true);
  });
});

describe('read options', () => {
  it('keep atomic unset where it was not given, for it means a third thing', () => {
    expect(normalizeReadOptions({}, 'restore')).toMatchObject({ atomic: undefined, verify: true });
    expect(normalizeReadOptions({ atomic: false }, 'restore').atomic).toBe(false);
  });

  it('name an unknown one', () => {
    expect(() => normalizeReadOptions({ verfiy: false } as object, 'restore')).toThrow(/Did you mean 'verify'/);
  });
});
