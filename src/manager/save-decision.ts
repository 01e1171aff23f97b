/** What {@link shouldSave} decides from: steps as the step counter counts them. */
export interface SaveQuestion {
  /** `checkpointInterval`; null: no interval, every call saves. */
  readonly interval: number | null;
  /** Step of the last save or restore; null: none yet. */
  readonly lastStep: number | null;
  readonly step: number;
  /** false: the caller wants a save before the interval is over. */
  readonly checkInterval: boolean;
}

/**
 * Whether a save is due: the first one always, then at `lastStep + interval` or later, and never twice at one step, not
 * even where the caller asks for it (TensorFlow's rule, its order of tests included).
 */
export function shouldSave({ interval, lastStep, step, checkInterval }: SaveQuestion): boolean {
  if (interval === null || lastStep === null) return true;
  if (step === lastStep) return false;
  return !checkInterval || step >= lastStep + interval;
}
