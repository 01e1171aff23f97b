import { crc32c } from '../native/engine.ts';
import { maskCrc } from './crc.ts';
import { dataLoss } from './damage.ts';
import { WireReader } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

/**
 * Checks a stored variant tensor without understanding its elements: each is a varint length, so many bytes, and the
 * masked CRC-32C so far, which runs over lengths (eight bytes each), bytes and the checksums themselves.
 */
export function checkVariants(bytes: Uint8Array, count: number, expectedCrc: number): void {
  const reader = new WireReader(bytes);
  let crc = 0;
  for (let i = 0; i < count; i++) {
    const length = reader.varint();
    const fixed = new WireWriter(8);
    fixed.fixed32(length % 2 ** 32);
    fixed.fixed32(Math.floor(length / 2 ** 32));
    crc = crc32c(fixed.view(), crc);
    if (length > bytes.length - reader.position) throw dataLoss('an element is longer than the tensor');
    crc = crc32c(bytes.subarray(reader.position, reader.position + length), crc);
    reader.position += length;
    const stored = reader.fixed32();
    if (maskCrc(crc) !== stored) throw dataLoss(`the checksum of element ${i} does not match`);
    crc = crc32c(bytes.subarray(reader.position - 4, reader.position), crc);
  }
  if (!reader.done) throw dataLoss('bytes follow the last element');
  if (crc !== expectedCrc) throw dataLoss('the checksum of the tensor does not match');
}
