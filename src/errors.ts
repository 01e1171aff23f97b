/** Stable error codes. They are API: compare `error.code`, never `error.message`. */
export type CheckpointErrorCode =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'DATA_LOSS'
  | 'OUT_OF_RANGE'
  | 'SHAPE_MISMATCH'
  | 'DTYPE_MISMATCH'
  | 'DIRECTORY_LOCKED'
  | 'NO_SPACE'
  | 'IO_ERROR'
  | 'ABORTED'
  | 'CUDA_UNAVAILABLE'
  | 'CUDA_ERROR'
  | 'UNSUPPORTED'
  | 'NATIVE_LOAD_FAILED';

/** Where an error happened. Only the fields that are known are set. */
export interface CheckpointErrorContext {
  /** File or directory the operation was about. */
  path?: string;
  /** Checkpoint key of the tensor. */
  key?: string;
  /** Byte offset in `path`. */
  offset?: number;
  /** Symbolic errno of the failed system call, e.g. `ENOSPC`; for `CUDA_ERROR` the driver's name, e.g. `CUDA_ERROR_OUT_OF_MEMORY`. */
  errno?: string;
  /** The failed system call or driver function. */
  syscall?: string;
  /** All defects, where one check found several (see `LoadStatus`, `restore`). */
  problems?: readonly { code: CheckpointErrorCode; message: string; key?: string; path?: string; offset?: number }[];
  /** Keys whose objects were already overwritten when damage was found during a restore. */
  overwritten?: readonly string[];
  cause?: unknown;
}

const brand = Symbol.for('tensor-checkpoint.CheckpointError');

/**
 * The one error type of this package. `code` is stable; the message is for people and says what was given, what was
 * expected and what to do.
 */
export class CheckpointError extends Error {
  readonly code: CheckpointErrorCode;
  declare readonly path?: string;
  declare readonly key?: string;
  declare readonly offset?: number;
  declare readonly errno?: string;
  declare readonly syscall?: string;
  declare readonly problems?: CheckpointErrorContext['problems'];
  declare readonly overwritten?: readonly string[];

  constructor(code: CheckpointErrorCode, message: string, context: CheckpointErrorContext = {}) {
    const { cause, ...fields } = context;
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'CheckpointError';
    this.code = code;
    for (const [name, value] of Object.entries(fields)) {
      if (value !== undefined) Object.defineProperty(this, name, { value, enumerable: true, configurable: true });
    }
    Object.defineProperty(this, brand, { value: true });
  }
}

/** Whether `value` is a {@link CheckpointError}, of this copy of the package or of another one in the process. */
export function isCheckpointError(value: unknown): value is CheckpointError {
  // A brand rather than instanceof: two copies of this package in one process must recognise each other's errors.
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true;
}

/** Shorthand for the most common error: the caller passed something that can't be used. */
export function invalidArgument(message: string, context?: CheckpointErrorContext): CheckpointError {
  return new CheckpointError('INVALID_ARGUMENT', message, context);
}

const LONGEST_SHOWN = 200;

/** What was given, for a message: short whatever it is, and without calling anything of it. */
export function describeValue(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > LONGEST_SHOWN ? `${value.slice(0, LONGEST_SHOWN)}…` : value);
    case 'bigint':
      return `${value}n`;
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? 'an array' : 'an object';
    case 'function':
      return 'a function';
    default:
      return String(value);
  }
}
