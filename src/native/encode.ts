/** Native's encoders as steps, whose errors are those of the engine. */
import type { Steps, Turns } from '../steps.ts';
import type {
  EncodedIndex,
  Encoder,
  EncoderAddon,
  GraphColumns,
  IndexColumns,
  NativeBytes,
  PathColumns,
  TextColumn,
} from './contract.ts';
import { guard } from './engine.ts';
import { loadAddon } from './loader.ts';

export type { EncodedIndex, NativeBytes, TextColumn };

/** Rows that are done before the event loop may turn: a fraction of a millisecond. */
const PIECE = 512;

/** Strings as UTF-8. Their Unicode must be well-formed: what isn't becomes U+FFFD. */
export const encodeTexts = steps((addon, strings: readonly string[]) => addon.encodeTexts(strings));
export const sortTexts = steps((addon, texts: TextColumn) => addon.sortTexts(texts));
export const encodeKeys = steps((addon, columns: PathColumns) => addon.encodeKeys(columns));
export const encodeIndex = steps((addon, columns: IndexColumns) => addon.encodeIndex(columns));
export const encodeGraph = steps((addon, columns: GraphColumns) => addon.encodeGraph(columns));

function steps<From, Made>(encoderOf: (addon: EncoderAddon, from: From) => Encoder<Made>) {
  return function* (from: From, turns: Turns): Steps<Made> {
    const encoder = guard(() => encoderOf(loadAddon(), from));
    // To check the columns takes a while, too.
    do if (turns.due) yield turns.next();
    while (guard(() => encoder.write(PIECE)));
    return guard(() => encoder.finish());
  };
}
