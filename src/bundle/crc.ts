const MASK_DELTA = 0xa282ead8;

/** The form in which a CRC is stored (LevelDB's): a CRC over bytes that themselves hold CRCs is weak, this isn't. */
export function maskCrc(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}

export function unmaskCrc(masked: number): number {
  const rotated = (masked - MASK_DELTA) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}
