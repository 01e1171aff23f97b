import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint, removeCheckpoint, verifyCheckpoint } from '../../src/manager/index.ts';
import { exportTfjsModel, importTfjsModel } from '../../src/tfjs/index.ts';
import { testDirectories } from '../support/directory.ts';

const MiB = 2 ** 20;
const newDirectory = testDirectories();

/** Bytes of all weights: above 4 GiB where it is asked for, else as much as shows that memory doesn't grow with it. */
const LARGE = process.env.TENSOR_CHECKPOINT_LARGE === '1';
const WEIGHTS = LARGE ? 23 : 3;
const WEIGHT_BYTES = (LARGE ? 200 : 48) * MiB;
const disk = statfsSync('.');
const isRoom = !LARGE || disk.bavail * disk.bsize > 3 * WEIGHTS * WEIGHT_BYTES;
if (!LARGE) console.log('model files above 4 GiB are left out: set TENSOR_CHECKPOINT_LARGE=1 to have them');

test.skipIf(!isRoom)(
  'a model is imported and exported a part at a time, whatever its size',
  { timeout: 600_000 },
  async () => {
    const where = newDirectory();
    const shape = [WEIGHT_BYTES / 4];
    const weights = Array.from({ length: WEIGHTS }, (_, i) => ({ name: `layer_${i}/kernel`, shape, dtype: 'float32' }));
    // Files whose borders are not those of the weights, nearly all of them holes.
    const total = WEIGHTS * WEIGHT_BYTES;
    const fileBytes = Math.ceil(total / 7);
    const paths = Array.from({ length: 7 }, (_, i) => `part${i}.bin`);
    paths.forEach((name, i) => {
      writeFileSync(join(where, name), '');
      truncateSync(join(where, name), Math.min(fileBytes, total - i * fileBytes));
    });
    for (let i = 0; i < WEIGHTS; i++) {
      const at = (i + 1) * WEIGHT_BYTES - 4;
      const file = openSync(join(where, paths[Math.floor(at / fileBytes)]!), 'r+');
      writeSync(file, Buffer.from(Float32Array.of(i + 0.5).buffer), 0, 4, at % fileBytes);
      closeSync(file);
    }
    const json = {
      format: 'layers-model',
      modelTopology: { class_name: 'Model' },
      weightsManifest: [{ paths, weights }],
    };
    writeFileSync(join(where, 'model.json'), JSON.stringify(json));

    let peak = 0;
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().arrayBuffers);
    }, 5);
    const prefix = await importTfjsModel(where, join(newDirectory(), 'ckpt'));
    expect(await verifyCheckpoint(prefix)).toMatchObject({ ok: true });
    const reader = await loadCheckpoint(prefix);
    for (const i of [0, WEIGHTS - 1]) {
      const key = `model/_tfjs_weights/layer_${i}.Skernel/.ATTRIBUTES/VARIABLE_VALUE`;
      const { data } = await reader.getTensor(key, { slice: [[WEIGHT_BYTES / 4 - 1, 1]] });
      expect((data as Float32Array)[0]).toBe(i + 0.5);
    }
    const out = newDirectory();
    const { files, bytes } = await exportTfjsModel(prefix, out, { shardBytes: 32 * MiB });
    clearInterval(watch);
    if (LARGE) expect(peak).toBeLessThan(400 * MiB);
    expect(bytes).toBe(total);
    expect(files).toHaveLength(Math.ceil(total / (32 * MiB)));
    expect(readdirSync(out)).toHaveLength(files.length + 1);
    expect(files.reduce((sum, name) => sum + statSync(join(out, name)).size, 0)).toBe(total);
    // The last element of the last weight.
    const last = openSync(join(out, files.at(-1)!), 'r');
    const { readSync } = await import('node:fs');
    const read = Buffer.alloc(4);
    readSync(last, read, 0, 4, statSync(join(out, files.at(-1)!)).size - 4);
    closeSync(last);
    expect(read.readFloatLE(0)).toBe(WEIGHTS - 0.5);
    await removeCheckpoint(prefix);
    expect(existsSync(`${prefix}.index`)).toBe(false);
  },
);
