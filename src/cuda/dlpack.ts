import { CheckpointError, describeValue, invalidArgument } from '../errors.ts';
import { type DType, elementSize, isDType } from '../tensor/dtypes.ts';

/** DLDataType without lanes. */
interface DLType {
  readonly code: number;
  readonly bits: number;
}

// DLDataTypeCode: https://dmlc.github.io/dlpack/latest/c_api.html
const INT = 0;
const UINT = 1;
const FLOAT = 2;

const types: Partial<Record<DType, DLType>> = {
  int8: { code: INT, bits: 8 },
  int16: { code: INT, bits: 16 },
  int32: { code: INT, bits: 32 },
  int64: { code: INT, bits: 64 },
  uint8: { code: UINT, bits: 8 },
  uint16: { code: UINT, bits: 16 },
  uint32: { code: UINT, bits: 32 },
  uint64: { code: UINT, bits: 64 },
  float16: { code: FLOAT, bits: 16 },
  float32: { code: FLOAT, bits: 32 },
  float64: { code: FLOAT, bits: 64 },
  bfloat16: { code: 4, bits: 16 },
  complex64: { code: 5, bits: 64 },
  complex128: { code: 5, bits: 128 },
  bool: { code: 6, bits: 8 },
  float8_e4m3b11fnuz: { code: 9, bits: 8 },
  float8_e4m3fn: { code: 10, bits: 8 },
  float8_e4m3fnuz: { code: 11, bits: 8 },
  float8_e5m2: { code: 12, bits: 8 },
  float8_e5m2fnuz: { code: 13, bits: 8 },
};

/** @throws CheckpointError UNSUPPORTED for a dtype that DLPack has no name for. */
export function dlpackType(dtype: DType): DLType {
  const type = types[dtype];
  if (type !== undefined) return type;
  throw new CheckpointError('UNSUPPORTED', `DLPack has no type for ${dtype}.`);
}

/**
 * The dtype of a DLPack tensor, or `asked`, another one of the same size (libraries hand out bool as uint8).
 *
 * @throws CheckpointError INVALID_ARGUMENT if `asked` is no dtype or of another size, UNSUPPORTED for a type that a
 * checkpoint has no dtype for.
 */
export function dtypeOfDLPack(given: DLType & { readonly lanes: number }, asked: DType | undefined): DType {
  const { code, bits, lanes } = given;
  const what = `a DLPack tensor of type code ${code}, ${bits} bits, ${lanes} lanes`;
  if (asked !== undefined) {
    if (!isDType(asked) || elementSize(asked) === 0) {
      throw invalidArgument(`fromDLPack: dtype must be that of a numeric tensor, not ${describeValue(asked)}.`);
    }
    if (lanes === 1 && elementSize(asked) * 8 === bits) return asked;
    throw invalidArgument(`fromDLPack: ${what} can't be seen as ${asked}, whose elements have another size.`);
  }
  const found = Object.entries(types).find(([, type]) => type.code === code && type.bits === bits);
  if (found !== undefined && lanes === 1) return found[0] as DType;
  throw new CheckpointError('UNSUPPORTED', `fromDLPack: a checkpoint has no dtype for ${what}. Convert it first.`);
}
