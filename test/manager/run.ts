import { Checkpoint } from '../../src/checkpoint/checkpoint.ts';
import { Counter } from '../../src/checkpoint/counter.ts';
import type { ManagerWarning } from '../../src/manager/events.ts';
import { CheckpointManager, type CheckpointManagerOptions } from '../../src/manager/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';

/** A small training run: a step, two weights, a manager whose clock stands still until it is moved. */
export interface Run {
  readonly step: Counter;
  readonly weights: HostTensor;
  readonly checkpoint: Checkpoint;
  readonly manager: CheckpointManager;
  readonly warnings: ManagerWarning[];
  /** Names and payloads of all events but warnings, in order. */
  readonly events: Array<[name: string, payload: Record<string, unknown>]>;
  /** Milliseconds. */
  now: number;
  /** Sets both values, moves the clock by a second, and saves. */
  train(step: number): Promise<string | null>;
}

export const START = 1_000_000_000;

export function startRun(
  directory: string,
  options: Partial<CheckpointManagerOptions> = {},
  { size = 2, now = START, stepped = false } = {},
): Run {
  const step = new Counter();
  const weights = new HostTensor({ dtype: 'float32', shape: [size], data: new Float32Array(size) });
  const checkpoint = new Checkpoint({ step, weights });
  const run = { step, weights, checkpoint, warnings: [], events: [], now } as unknown as {
    -readonly [K in keyof Run]: Run[K];
  };
  run.manager = new CheckpointManager(checkpoint, {
    directory,
    maxToKeep: 3,
    clock: () => run.now,
    ...(stepped ? { stepCounter: step } : {}),
    ...options,
  });
  run.manager.on('warning', (warning) => run.warnings.push(warning));
  for (const name of ['saved', 'preserved', 'deleted', 'damaged'] as const) {
    run.manager.on(name, (payload: object) => run.events.push([name, payload as Record<string, unknown>]));
  }
  run.train = async (value) => {
    step.value = value;
    (weights.data as Float32Array).fill(value);
    run.now += 1000;
    return await run.manager.save();
  };
  return run;
}

/** Base names, for short expectations. */
export function names(paths: readonly string[]): string[] {
  return paths.map((path) => path.slice(path.lastIndexOf('/') + 1));
}

/** The text of a state file as people write it. */
export function stateText(
  latest: string,
  paths: readonly string[],
  timestamps: readonly string[],
  preserved = '999000.0',
): string {
  return [
    `model_checkpoint_path: "${latest}"`,
    ...paths.map((path) => `all_model_checkpoint_paths: "${path}"`),
    ...timestamps.map((time) => `all_model_checkpoint_timestamps: ${time}`),
    `last_preserved_timestamp: ${preserved}\n`,
  ].join('\n');
}
