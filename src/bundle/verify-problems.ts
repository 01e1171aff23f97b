import { type CheckpointError, type CheckpointErrorCode, isCheckpointError } from '../errors.ts';

/** A defect of a checkpoint. */
export interface VerifyProblem {
  /**
   * `NOT_FOUND`: the index or a data file is missing. `OUT_OF_RANGE`: a data file is shorter than its tensors need, or
   * longer than its last tensor. `DATA_LOSS`: a checksum differs, or the index contradicts the format or itself (a
   * truncated or extended index too). `UNSUPPORTED`: a version, byte order or dtype that this package doesn't read.
   * `IO_ERROR`: the system could not read a file.
   */
  readonly code: CheckpointErrorCode;
  readonly message: string;
  readonly file?: string;
  readonly key?: string;
  readonly offset?: number;
}

/** What a verification has found so far. */
export class VerifyProblems {
  readonly list: VerifyProblem[] = [];

  add(problem: VerifyProblem): void {
    this.list.push(problem);
  }

  report({ code, message, path, key, offset }: CheckpointError): void {
    this.add({ code, message, file: path, key, offset });
  }

  /**
   * undefined if it failed with something that belongs into the report, where it is then.
   *
   * @throws all else: INVALID_ARGUMENT, ABORTED, and what is no CheckpointError.
   */
  async attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      const rejects = !isCheckpointError(error) || error.code === 'INVALID_ARGUMENT' || error.code === 'ABORTED';
      if (rejects) throw error;
      this.report(error);
      return undefined;
    }
  }
}
