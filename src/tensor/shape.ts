import { invalidArgument } from '../errors.ts';

/** TensorFlow's TensorShape::MaxDimensions. */
const MAX_RANK = 254;

/** The shape of a single number or string: one array, so that two of them are seen to be the same without a look inside. */
export const SCALAR: readonly number[] = Object.freeze([]);

/** Number of elements of a shape that was already checked. A scalar (`[]`) has one. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  return count;
}

/**
 * Why `shape` can't be a tensor's shape, or null if it can: at most 254 dimensions, each a non-negative safe integer,
 * and a number of bytes that a double holds exactly even if empty dimensions are left out.
 */
export function shapeProblem(shape: unknown, bytesPerElement = 1): string | null {
  if (!Array.isArray(shape)) return `a shape is an array of dimensions, given ${describe(shape)}`;
  if (shape.length > MAX_RANK) return `a tensor has at most ${MAX_RANK} dimensions, given ${shape.length}`;
  let product = Math.max(1, bytesPerElement);
  for (const dimension of shape) {
    if (typeof dimension !== 'number' || !Number.isSafeInteger(dimension) || dimension < 0) {
      return `a dimension is a non-negative integer, given ${describe(dimension)}`;
    }
    // Zero dimensions don't make an absurd shape harmless: [2^52, 2^52, 0] must not overflow in a stride.
    product *= Math.max(1, dimension);
    if (!Number.isSafeInteger(product)) return `the shape [${shape.join(', ')}] has more than 2^53 bytes`;
  }
  return null;
}

/** A frozen copy of `shape`, or INVALID_ARGUMENT. */
export function checkShape(shape: unknown, bytesPerElement = 1): readonly number[] {
  const problem = shapeProblem(shape, bytesPerElement);
  if (problem !== null) throw invalidArgument(`Not a shape: ${problem}.`);
  return Object.freeze([...(shape as number[])]);
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function describeShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

function describe(value: unknown): string {
  return typeof value === 'number' || value === null || value === undefined ? String(value) : `a ${typeof value}`;
}
