import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { engineInfo } from '../../src/native/engine.ts';

/** What V8 counts outside of its heap once what was dropped is gone. Bytes. */
export async function countedWhenCollected(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (let i = 0; i < 3; i++) {
    gc();
    // Node runs finalizers of dropped buffers on later turns.
    await new Promise(setImmediate);
  }
  return engineInfo().countedBytes;
}
