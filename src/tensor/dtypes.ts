/**
 * The element types of a tensor bundle: TensorFlow's names and DataType numbers
 * (tensorflow/core/framework/types.proto).
 */

type TypedArrayConstructor =
  | Float32ArrayConstructor
  | Float64ArrayConstructor
  | Int8ArrayConstructor
  | Int16ArrayConstructor
  | Int32ArrayConstructor
  | BigInt64ArrayConstructor
  | Uint8ArrayConstructor
  | Uint16ArrayConstructor
  | Uint32ArrayConstructor
  | BigUint64ArrayConstructor;

interface DTypeFacts {
  /** TensorFlow's DataType enum. */
  readonly number: number;
  /** Bytes an element takes in a bundle; 0 for variable-length types. */
  readonly size: number;
  /** Typed view of the elements, and how many of its entries make one element (2 for complex). */
  readonly view?: TypedArrayConstructor;
  readonly lanes?: 2;
}

const facts = {
  float32: { number: 1, size: 4, view: Float32Array },
  float64: { number: 2, size: 8, view: Float64Array },
  int32: { number: 3, size: 4, view: Int32Array },
  uint8: { number: 4, size: 1, view: Uint8Array },
  int16: { number: 5, size: 2, view: Int16Array },
  int8: { number: 6, size: 1, view: Int8Array },
  string: { number: 7, size: 0 },
  complex64: { number: 8, size: 8, view: Float32Array, lanes: 2 },
  int64: { number: 9, size: 8, view: BigInt64Array },
  bool: { number: 10, size: 1, view: Uint8Array },
  qint8: { number: 11, size: 1, view: Int8Array },
  quint8: { number: 12, size: 1, view: Uint8Array },
  qint32: { number: 13, size: 4, view: Int32Array },
  bfloat16: { number: 14, size: 2, view: Uint16Array },
  qint16: { number: 15, size: 2, view: Int16Array },
  quint16: { number: 16, size: 2, view: Uint16Array },
  uint16: { number: 17, size: 2, view: Uint16Array },
  complex128: { number: 18, size: 16, view: Float64Array, lanes: 2 },
  float16: { number: 19, size: 2, view: Uint16Array },
  variant: { number: 21, size: 0 },
  uint32: { number: 22, size: 4, view: Uint32Array },
  uint64: { number: 23, size: 8, view: BigUint64Array },
  float8_e5m2: { number: 24, size: 1, view: Uint8Array },
  float8_e4m3fn: { number: 25, size: 1, view: Uint8Array },
  float8_e4m3fnuz: { number: 26, size: 1, view: Uint8Array },
  float8_e4m3b11fnuz: { number: 27, size: 1, view: Uint8Array },
  float8_e5m2fnuz: { number: 28, size: 1, view: Uint8Array },
  int4: { number: 29, size: 1, view: Int8Array },
  uint4: { number: 30, size: 1, view: Uint8Array },
  int2: { number: 31, size: 1, view: Int8Array },
  uint2: { number: 32, size: 1, view: Uint8Array },
  float4_e2m1fn: { number: 33, size: 1, view: Uint8Array },
} as const satisfies Record<string, DTypeFacts>;

/** Every dtype a bundle can hold. `variant` tensors can be listed and verified, not read or written. */
export type DType = keyof typeof facts;

const byName: Readonly<Record<string, DTypeFacts>> = facts;
const byNumber = new Map<number, DType>(Object.entries(facts).map(([name, fact]) => [fact.number, name as DType]));

export function isDType(name: unknown): name is DType {
  return typeof name === 'string' && Object.hasOwn(facts, name);
}

/** TensorFlow's DataType number. */
export function dtypeNumber(dtype: DType): number {
  return facts[dtype].number;
}

/** The dtype of a DataType number, or undefined for one that this package doesn't know. */
export function dtypeFromNumber(number: number): DType | undefined {
  return byNumber.get(number);
}

/** Bytes an element takes in a bundle; 0 for `string` and `variant`, whose elements vary. */
export function elementSize(dtype: DType): number {
  return facts[dtype].size;
}

/** Bytes an element takes, by DataType number; 0 where its elements vary, 255 for a number that this package doesn't know. */
export function elementSizes(): Uint8Array {
  const sizes = new Uint8Array(256).fill(255);
  for (const { number, size } of Object.values(facts)) sizes[number] = size;
  return sizes;
}

/** The typed-array class that shows the elements of `dtype`; undefined for `string` and `variant`. */
export function viewOf(dtype: DType): TypedArrayConstructor | undefined {
  return byName[dtype]?.view;
}

/** How many entries of the typed view make one element: 2 for complex, else 1. */
export function viewLanes(dtype: DType): number {
  return byName[dtype]?.lanes ?? 1;
}
