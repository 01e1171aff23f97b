import { describeValue } from '../errors.ts';
import { printDouble, printString, TextTokenizer } from './text-format.ts';

/**
 * What the file `checkpoint` says: TensorFlow's CheckpointState (checkpoint_state.proto). Paths are as they stand in
 * the file; see `getCheckpointState` for absolute ones.
 */
export interface CheckpointState {
  /** Prefix of the newest checkpoint; empty where the file names none. */
  readonly modelCheckpointPath: string;
  /** Prefixes of the checkpoints that a manager may still delete, oldest first. */
  readonly allModelCheckpointPaths: readonly string[];
  /** When each was saved, seconds since the epoch. */
  readonly allModelCheckpointTimestamps: readonly number[];
  /** When the last preserved checkpoint was saved, seconds since the epoch; 0 where the file doesn't say. */
  readonly lastPreservedTimestamp: number;
}

/** The file's name in its directory. */
export const STATE_FILE_NAME = 'checkpoint';

/** The text that TensorFlow writes for `state`, byte for byte once encoded as UTF-8. */
export function printCheckpointState(state: CheckpointState): string {
  const lines: string[] = [];
  if (state.modelCheckpointPath !== '') lines.push(`model_checkpoint_path: ${printString(state.modelCheckpointPath)}`);
  for (const path of state.allModelCheckpointPaths) lines.push(`all_model_checkpoint_paths: ${printString(path)}`);
  for (const time of state.allModelCheckpointTimestamps) {
    lines.push(`all_model_checkpoint_timestamps: ${printDouble(time)}`);
  }
  if (!Object.is(state.lastPreservedTimestamp, 0)) {
    lines.push(`last_preserved_timestamp: ${printDouble(state.lastPreservedTimestamp)}`);
  }
  return lines.map((line) => `${line}\n`).join('');
}

/**
 * Reads a state file in any layout of protobuf's text format. Of a field given twice the last counts, as TensorFlow
 * merges them.
 *
 * @throws CheckpointError `DATA_LOSS`, saying where, if the text isn't a CheckpointState.
 */
export function parseCheckpointState(text: string): CheckpointState {
  const tokens = new TextTokenizer(text);
  const paths: string[] = [];
  const timestamps: number[] = [];
  let latest = '';
  let lastPreserved = 0;
  while (!tokens.atEnd) {
    const name = tokens.consumeName();
    if (!KNOWN_FIELDS.has(name)) throw tokens.error(`CheckpointState has no field named ${describeValue(name)}`);
    tokens.consume(':');
    if (name === 'model_checkpoint_path') latest = tokens.consumeString();
    else if (name === 'last_preserved_timestamp') lastPreserved = tokens.consumeDouble();
    else if (name === 'all_model_checkpoint_paths') consumeList(tokens, () => paths.push(tokens.consumeString()));
    else consumeList(tokens, () => timestamps.push(tokens.consumeDouble()));
    if (!tokens.tryConsume(',')) tokens.tryConsume(';');
  }
  return {
    modelCheckpointPath: latest,
    allModelCheckpointPaths: paths,
    allModelCheckpointTimestamps: timestamps,
    lastPreservedTimestamp: lastPreserved,
  };
}

const KNOWN_FIELDS: ReadonlySet<string> = new Set([
  'model_checkpoint_path',
  'all_model_checkpoint_paths',
  'all_model_checkpoint_timestamps',
  'last_preserved_timestamp',
]);

/** A repeated field: one element, or the short form `[a, b]`. */
function consumeList(tokens: TextTokenizer, consumeElement: () => void): void {
  if (!tokens.tryConsume('[')) {
    consumeElement();
    return;
  }
  if (tokens.tryConsume(']')) return;
  while (true) {
    consumeElement();
    if (tokens.tryConsume(']')) return;
    tokens.consume(',');
  }
}
