import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WireWriter } from '../../src/bundle/wire-writer.ts';

/** More than a writer leaves to Node's encoder. */
const MANY_TEXTS = 3000;

test('a writer encodes its thousandth text as its first: in UTF-8, whatever its characters and length', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 200 }),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.string({ unit: 'grapheme', maxLength: 40 }).map((end) => `${'layer/weight'.repeat(9)}${end}`),
  );
  fc.assert(
    fc.property(fc.array(text, { maxLength: 20 }), fc.boolean(), (texts, much) => {
      const writer = new WireWriter(16);
      for (let i = 0; much && i < MANY_TEXTS; i++) writer.text('');
      for (const each of texts) writer.text(each);
      expect(Buffer.compare(writer.view(), Buffer.concat(texts.map((each) => Buffer.from(each))))).toBe(0);
    }),
    { numRuns: 300 },
  );
});
