import { statfsSync } from 'node:fs';
import { freemem } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Checkpoint, HostTensor, loadCheckpoint, verifyCheckpoint } from '../../src/index.ts';
import { testDirectories } from '../support/directory.ts';
import { oraclePython, runOracle } from '../support/oracle.ts';

const GiB = 2 ** 30;
const ELEMENTS = GiB + GiB / 4 + 1; // 5 GiB and 4 bytes of float32
const newDirectory = testDirectories();
const KEY = 'weights/.ATTRIBUTES/VARIABLE_VALUE';

/** Why a tensor of 5 GiB can't be tried here; null if it can. */
function reasonToSkip(): string | null {
  if (process.env.TENSOR_CHECKPOINT_LARGE !== '1') return 'it writes 5 GiB; set TENSOR_CHECKPOINT_LARGE=1 to run it';
  if (freemem() < 14 * GiB) return 'it needs 14 GiB of free memory';
  const disk = statfsSync('.');
  return disk.bavail * disk.bsize < 12 * GiB ? 'it needs 12 GiB of free disk' : null;
}

const reason = reasonToSkip();
if (reason !== null) console.log(`skipped: a tensor above 4 GiB: ${reason}`);

test.skipIf(reason !== null)(
  'a tensor above 4 GiB is saved, verified, restored and read by slices, here and in TensorFlow',
  { timeout: 300_000 },
  async () => {
    const prefix = path.join(newDirectory(), 'large');
    const weights = HostTensor.allocate({ dtype: 'float32', shape: [ELEMENTS] });
    const marks = [0, GiB / 2 - 1, GiB - 1, GiB, GiB + 7, ELEMENTS - 1]; // around 2 GiB, 4 GiB and the end
    for (const [index, at] of marks.entries()) weights.data[at] = index + 0.5;
    await new Checkpoint({ weights }).write(prefix);

    expect(await verifyCheckpoint(prefix)).toMatchObject({ ok: true, problems: [] });
    const reader = await loadCheckpoint(prefix);
    for (const [index, at] of marks.entries()) {
      const slice = await reader.getTensor(KEY, { slice: [[at, 1]] });
      expect(slice.data[0]).toBe(index + 0.5);
    }

    weights.data.fill(-1, GiB - 2, GiB + 8);
    (await new Checkpoint({ weights }).read(prefix)).assertExistingObjectsMatched();
    expect(marks.map((at) => weights.data[at])).toEqual(marks.map((_, index) => index + 0.5));
    expect(weights.data[GiB - 2]).toBe(0);

    if (oraclePython() !== null) {
      const script = `
import sys, tensorflow as tf
reader = tf.train.load_checkpoint(sys.argv[1])
value = reader.get_tensor('${KEY}')
print(value.shape[0], [float(value[i]) for i in (${marks.join(', ')})])
`;
      const said = await runOracle(script, { args: [prefix] });
      expect(said.trim()).toBe(`${ELEMENTS} [${marks.map((_, index) => index + 0.5).join(', ')}]`);
    }
  },
);
