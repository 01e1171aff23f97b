import { CheckpointError, type CheckpointErrorContext, isCheckpointError } from '../errors.ts';

/** Something that was read contradicts the format. */
export function dataLoss(message: string, context?: CheckpointErrorContext): CheckpointError {
  return new CheckpointError('DATA_LOSS', message, context);
}

/** Runs `parse`; errors of the small parsers, which know no file and no key, get the context and say it. */
export function inContext<T>(where: string, context: CheckpointErrorContext, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!isCheckpointError(error)) throw error;
    throw new CheckpointError(error.code, `${where}: ${error.message}`, { ...context, cause: error });
  }
}
