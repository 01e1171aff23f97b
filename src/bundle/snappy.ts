import snappy from 'snappyjs';
import { dataLoss } from './damage.ts';
import { WireReader } from './wire-reader.ts';

/** Decompresses a snappy block (github.com/google/snappy, format_description.txt). */
export function uncompress(compressed: Uint8Array): Uint8Array {
  // snappyjs trusts lengths: a literal of 2^31 bytes makes it loop for ever, an output longer than announced is cut.
  // So the stream is walked first.
  checkStream(compressed);
  return snappy.uncompress(new Uint8Array(compressed.buffer, compressed.byteOffset, compressed.byteLength));
}

function checkStream(bytes: Uint8Array): void {
  const reader = new WireReader(bytes);
  const announced = reader.varint();
  let at = reader.position;
  let length = 0;
  const byteAt = (position: number) => {
    const byte = bytes[position];
    if (byte === undefined) throw dataLoss('the compressed block ends within an element');
    return byte;
  };
  while (at < bytes.length) {
    const tag = bytes[at]!;
    const kind = tag & 3;
    let run: number;
    if (kind === 0) {
      run = (tag >>> 2) + 1;
      const extra = run > 60 ? run - 60 : 0;
      if (extra > 0) {
        run = 1;
        for (let i = 0; i < extra; i++) run += byteAt(at + 1 + i) * 2 ** (8 * i);
      }
      // snappyjs looks at four bytes of any long length, so a literal shorter than that at the end would fail there.
      if (extra > 0 && at + 4 >= bytes.length) throw dataLoss('the compressed block ends within an element');
      at += 1 + extra + run;
      if (at > bytes.length) throw dataLoss('the compressed block ends within a literal');
    } else {
      const width = kind === 1 ? 1 : kind === 2 ? 2 : 4;
      run = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
      let distance = kind === 1 ? (tag >>> 5) * 256 : 0;
      for (let i = 0; i < width; i++) distance += byteAt(at + 1 + i) * 2 ** (8 * i);
      if (distance === 0 || distance > length) throw dataLoss('the compressed block refers to bytes before its start');
      at += 1 + width;
    }
    length += run;
    if (length > announced) break;
  }
  if (length !== announced) throw dataLoss(`the compressed block announces ${announced} bytes and holds others`);
}
