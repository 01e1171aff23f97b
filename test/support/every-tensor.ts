import { type DType, elementSize } from '../../src/tensor/dtypes.ts';
import { elementCount } from '../../src/tensor/shape.ts';

/** The dtypes of fixed size that a tf.Variable can have. */
export const variableDTypes: readonly DType[] = [
  'float32',
  'float64',
  'float16',
  'bfloat16',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'bool',
  'complex64',
  'complex128',
  'float8_e5m2',
  'float8_e4m3fn',
];

/** The dtypes of fixed size that TensorFlow's reader and writer of bundles take. */
export const fixedDTypes: readonly DType[] = [
  ...variableDTypes,
  'int4',
  'uint4',
  'qint8',
  'quint8',
  'qint32',
  'qint16',
  'quint16',
];

/** A scalar, nothing at all, one element, and ranks up to 4. */
export const smallShapes: readonly (readonly number[])[] = [
  [],
  [0],
  [1],
  [7],
  [3, 0, 2],
  [3, 5, 1],
  [1, 1, 1, 2],
  [2, 3, 5, 7],
];

/** The small ones, and one of more than a page and no multiple of one in any dtype. */
export const shapes: readonly (readonly number[])[] = [...smallShapes, [129, 131]];

/** A tensor whose bytes are valid for its dtype (a bool is 0 or 1, a four-bit integer fits), the same at each call. */
export function patternTensor(dtype: DType, shape: readonly number[]): PatternTensor {
  const limit = dtype === 'bool' ? 2 : dtype.endsWith('int4') ? 7 : 251;
  const data = Uint8Array.from(
    { length: elementCount(shape) * elementSize(dtype) },
    (_, i) => (i * 31 + shape.length * 7 + dtype.length) % limit,
  );
  return { dtype, shape, data };
}

export interface PatternTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Every dtype of fixed size in every shape. */
export function everyTensor(dtypes: readonly DType[] = fixedDTypes): PatternTensor[] {
  return dtypes.flatMap((dtype) => shapes.map((shape) => patternTensor(dtype, shape)));
}
