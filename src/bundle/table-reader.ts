import { crc32c } from '../native/engine.ts';
import { maskCrc } from './crc.ts';
import { dataLoss } from './damage.ts';
import { uncompress } from './snappy.ts';
import { type BlockHandle, Compression, compareBytes, FOOTER_BYTES, MAGIC, TRAILER_BYTES } from './table-format.ts';
import { WireReader } from './wire-reader.ts';
import { COPIED_SINGLY, WireWriter } from './wire-writer.ts';

/** A data block and the key in the index block that closes it: every key in the block is ≤ it. */
export interface DataBlock {
  readonly handle: BlockHandle;
  readonly separator: Uint8Array;
}

/**
 * Opens a sorted string table: footer, metaindex and index block, all checked, and that the blocks tile the file.
 * Every error is DATA_LOSS with the offset. `strict` also wants the footer to be exactly as it is written.
 */
export function openTable(file: Uint8Array, strict: boolean): DataBlock[] {
  if (file.length < FOOTER_BYTES) {
    throw dataLoss(`the file has ${file.length} bytes; an index has at least ${FOOTER_BYTES}`, { offset: file.length });
  }
  const footerAt = file.length - FOOTER_BYTES;
  const magicAt = file.length - MAGIC.length;
  if (compareBytes(file.subarray(magicAt), MAGIC) !== 0) {
    throw dataLoss('the file does not end like an index (bad magic number): it is truncated or no index', {
      offset: magicAt,
    });
  }
  const footer = new WireReader(file, footerAt, magicAt);
  const metaindex = readHandle(footer, footerAt, 'the metaindex block');
  const index = readHandle(footer, footerAt, 'the index block');
  if (strict) checkFooter(file.subarray(footerAt, magicAt), metaindex, index, footerAt);
  forEachEntry(readBlock(file, metaindex), () => {
    throw dataLoss('the metaindex block is not empty', { offset: metaindex.offset });
  });
  const blocks: DataBlock[] = [];
  let expected = 0;
  forEachEntry(readBlock(file, index), (separator, value) => {
    const reader = new WireReader(value);
    const handle = readHandle(reader, footerAt, `data block ${blocks.length}`);
    if (!reader.done) throw dataLoss('an entry of the index block is too long', { offset: index.offset });
    expected = checkTile(handle, expected, `data block ${blocks.length}`);
    blocks.push({ handle, separator });
  });
  expected = checkTile(metaindex, expected, 'the metaindex block');
  expected = checkTile(index, expected, 'the index block');
  if (expected !== footerAt) throw dataLoss('bytes lie between the index block and the footer', { offset: expected });
  return blocks;
}

/** No checksum covers the footer, so each of its bits is compared: padding is zero, numbers are in their shortest form. */
function checkFooter(found: Uint8Array, metaindex: BlockHandle, index: BlockHandle, footerAt: number): void {
  const writer = new WireWriter(FOOTER_BYTES);
  for (const { offset, size } of [metaindex, index]) {
    writer.varint(offset);
    writer.varint(size);
  }
  while (writer.length < found.length) writer.byte(0);
  const at = writer.view().findIndex((byte, i) => byte !== found[i]);
  if (at >= 0) throw dataLoss('the footer has bits that no writer sets', { offset: footerAt + at });
}

/** The contents of a block, its checksum verified, uncompressed. */
export function readBlock(file: Uint8Array, handle: BlockHandle): Uint8Array {
  const { offset, size } = handle;
  const trailer = offset + size;
  const stored = new WireReader(file, trailer + 1, trailer + TRAILER_BYTES).fixed32();
  if (maskCrc(crc32c(file.subarray(offset, trailer + 1))) !== stored) {
    throw dataLoss('the checksum of a block of the index does not match its bytes', { offset });
  }
  const contents = file.subarray(offset, trailer);
  const compression = file[trailer];
  if (compression === Compression.none) return contents;
  if (compression === Compression.snappy) return uncompress(contents);
  throw dataLoss(`a block of the index has the unknown compression ${compression}`, { offset: trailer });
}

/**
 * Goes through a block's entries in order and checks its structure: prefixes, restart points, strictly increasing keys.
 * Key and value are views of memory that the next entry overwrites: an index may have a million entries.
 */
export class BlockCursor {
  readonly block: Uint8Array;
  /** The key of the entry: the first `keyLength` bytes. */
  key: Uint8Array = new Uint8Array(256);
  keyLength = 0;
  /** How many of them are those of the entry before. */
  shared = 0;
  /** Where the entry's value lies in the block. */
  valueStart = 0;
  valueEnd = 0;
  readonly #reader: WireReader;
  readonly #restarts: WireReader;
  #nextRestart: number;
  #first = true;

  constructor(block: Uint8Array) {
    if (block.length < 4) throw dataLoss('a block of the index is too short');
    const restartCount = new WireReader(block, block.length - 4).fixed32();
    const end = block.length - 4 - restartCount * 4;
    if (restartCount === 0 || end < 0) throw dataLoss(`a block of the index counts ${restartCount} restart points`);
    this.block = block;
    this.#restarts = new WireReader(block, end, block.length - 4);
    this.#nextRestart = this.#restarts.fixed32();
    if (this.#nextRestart !== 0) throw dataLoss('the first restart point of a block is not its start');
    this.#reader = new WireReader(block, 0, end);
  }

  /** Goes on to the next entry; false behind the last one. */
  next(): boolean {
    const reader = this.#reader;
    if (reader.done) {
      this.#checkEnd();
      return false;
    }
    const isRestart = reader.position === this.#nextRestart;
    if (isRestart) this.#nextRestart = this.#restarts.done ? -1 : this.#restarts.fixed32();
    const shared = reader.varint();
    const unshared = reader.varint();
    const valueLength = reader.varint();
    const at = reader.position;
    if (shared > this.keyLength || (isRestart && shared !== 0)) throw dataLoss('a key of the index shares too much');
    if (unshared + valueLength > reader.end - at) throw dataLoss('an entry of the index is longer than its block');
    this.#takeKey(shared, at, unshared);
    this.valueStart = at + unshared;
    this.valueEnd = this.valueStart + valueLength;
    reader.position = this.valueEnd;
    this.#first = false;
    return true;
  }

  /** The key, as a view. */
  currentKey(): Uint8Array {
    return this.key.subarray(0, this.keyLength);
  }

  #takeKey(shared: number, at: number, unshared: number): void {
    const { block } = this;
    const length = shared + unshared;
    const last = this.keyLength;
    if (length > this.key.length) {
      const grown = new Uint8Array(2 * length);
      grown.set(this.key);
      this.key = grown;
    }
    const { key } = this;
    let position = shared;
    while (position < length && position < last && key[position] === block[at + position - shared]) position++;
    const increases =
      position === last ? position < length : position < length && key[position]! < block[at + position - shared]!;
    if (!this.#first && !increases) throw dataLoss('the keys of the index do not increase');
    const from = at - shared;
    if (length - position >= COPIED_SINGLY) key.set(block.subarray(from + position, from + length), position);
    else for (; position < length; position++) key[position] = block[from + position]!;
    this.keyLength = length;
    this.shared = shared;
  }

  #checkEnd(): void {
    // A restart point that is no entry's start would mislead a reader that searches by them. An empty block has one.
    if (!this.#first && this.#nextRestart !== -1) {
      throw dataLoss('a restart point of a block is not the start of an entry');
    }
    if (this.#first && !this.#restarts.done) throw dataLoss('an empty block of the index counts restart points');
  }
}

/** Visits the entries of a {@link BlockCursor}. The key handed over is a copy, the value a view. */
export function forEachEntry(block: Uint8Array, visit: (key: Uint8Array, value: Uint8Array) => void): void {
  const cursor = new BlockCursor(block);
  while (cursor.next()) visit(cursor.currentKey().slice(), block.subarray(cursor.valueStart, cursor.valueEnd));
}

function readHandle(reader: WireReader, limit: number, what: string): BlockHandle {
  const offset = reader.varint();
  const size = reader.varint();
  if (offset + size + TRAILER_BYTES > limit) {
    throw dataLoss(`${what} (bytes ${offset}, +${size}) lies outside the file`, { offset: limit });
  }
  return { offset, size };
}

function checkTile(handle: BlockHandle, expected: number, what: string): number {
  if (handle.offset !== expected) {
    throw dataLoss(`${what} starts at ${handle.offset} instead of ${expected}`, { offset: expected });
  }
  return handle.offset + handle.size + TRAILER_BYTES;
}
