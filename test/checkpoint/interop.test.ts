import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Adapter, Checkpoint, Counter, type TrackableNode } from '../../src/checkpoint/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';
import { describeWithOracle, runOracle } from '../support/oracle.ts';

const directory = testDirectories();

const floats = (...data: number[]) =>
  new HostTensor({ dtype: 'float32', shape: [data.length], data: new Float32Array(data) });
const state = (text: string) => ({ text, serialize: () => text, deserialize() {} });

describeWithOracle('TensorFlow restores what is saved here', () => {
  it('nested objects, shared tensors, host state, counters, slots, a Keras model: everything consumed', async () => {
    const where = directory();
    const shared = floats(1, 2, 3);
    const objects = () => ({
      step: new Counter(7),
      old: new Counter(8, { dtype: 'int32' }),
      weights: { kernel: floats(4, 5), bias: shared },
      layers: [shared, { gamma: floats(6) }, []],
      state: state('{"epoch": "é"}'),
      'dotted.name/with slash': floats(9),
      words: new HostTensor({ dtype: 'string', shape: [2], data: ['ab', 'é'] }),
    });
    const nested = await new Checkpoint(objects()).save(join(where, 'nested'));
    const sharded = await new Checkpoint(objects()).write(join(where, 'sharded'), { shards: 4 });
    const checkpoint = new Checkpoint(objects());
    const replaced = await checkpoint.write(join(where, 'replaced'));
    await checkpoint.write(replaced);

    // One value alone, under its third shard count: no count is left that gives every shard an entry.
    const lone = new Checkpoint({ x: floats(5) });
    const single = join(where, 'single');
    for (let i = 0; i < 3; i++) await lone.write(single);

    const optimizer = {};
    const [u, slot] = [floats(1, 2), floats(3, 4)];
    const node: TrackableNode = {
      identity: optimizer,
      description: 'Momentum',
      children: () => [],
      slots: () => [{ variable: u, name: 'momentum', slot }],
    };
    const adapters: Adapter[] = [{ name: 't', adapt: (value) => (value === optimizer ? node : undefined) }];
    const slots = await new Checkpoint({ u, optimizer }, { adapters }).write(join(where, 'slots'));

    const matrix = (rows: number, columns: number, start: number) =>
      new HostTensor({
        dtype: 'float32',
        shape: [rows, columns],
        data: Float32Array.from({ length: rows * columns }, (_, i) => start + i),
      });
    const dense = (rows: number, columns: number, start: number) => {
      const kernel = matrix(rows, columns, start);
      return { kernel, _kernel: kernel, bias: floats(...Array.from({ length: columns }, (_, i) => -start - i)) };
    };
    const keras = await new Checkpoint({
      model: { _functional: { _operations: { 1: dense(3, 2, 10), 2: dense(2, 1, 20) } } },
    }).write(join(where, 'keras'));

    const out = await runOracle(PYTHON, { args: [nested, sharded, replaced, slots, keras, single] });
    expect(JSON.parse(out.trim().split('\n').at(-1)!)).toEqual({
      nested: [7, 8, [4, 5], [1, 2, 3], [1, 2, 3], [6], '{"epoch": "é"}', [9], ['ab', 'é'], 1],
      sharded: [7, 8, [4, 5], [1, 2, 3], [1, 2, 3], [6], '{"epoch": "é"}', [9], ['ab', 'é'], 0],
      replaced: [7, 8, [4, 5], [1, 2, 3], [1, 2, 3], [6], '{"epoch": "é"}', [9], ['ab', 'é'], 0],
      slots: [
        [1, 2],
        [3, 4],
      ],
      single: [5],
      latest: nested,
      keras: [[10, 11, 12, 13, 14, 15], [-20]],
    });
  });
});

describeWithOracle('what TensorFlow saves is restored here', () => {
  it('after it restored ours and went on', async () => {
    const where = directory();
    const path = await new Checkpoint({ step: new Counter(3), w: [floats(1, 2)] }).save(join(where, 'ckpt'));
    await runOracle(
      `
import sys, tensorflow as tf
path, where = sys.argv[1:]
step, w = tf.Variable(0, dtype=tf.int64), [tf.Variable([0.0, 0.0])]
checkpoint = tf.train.Checkpoint(step=step, w=w)
checkpoint.restore(path).assert_consumed()
step.assign_add(1)
w[0].assign([5.0, 6.0])
assert checkpoint.save(where + "/ckpt") == where + "/ckpt-2"
`,
      { args: [path, where] },
    );
    const [step, w] = [new Counter(), floats(0, 0)];
    const checkpoint = new Checkpoint({ step, w: [w] });
    (await checkpoint.restore(join(where, 'ckpt-2'))).assertConsumed();
    expect([step.value, ...w.data, checkpoint.saveCounter.value]).toEqual([4, 5, 6, 2]);
  });
});

const PYTHON = `
import json, os, sys
import tensorflow as tf

nested, sharded, replaced, slots, keras, single = sys.argv[1:]

class State(tf.train.experimental.PythonState):
    text = ""
    def serialize(self): return self.text
    def deserialize(self, text): self.text = text.decode()

def objects():
    shared = tf.Variable([0.0, 0.0, 0.0])
    return dict(
        step=tf.Variable(0, dtype=tf.int64), old=tf.Variable(0), weights={"kernel": tf.Variable([0.0, 0.0]), "bias": shared},
        layers=[shared, {"gamma": tf.Variable([0.0])}, []], state=State(), words=tf.Variable(["", ""]),
        **{"dotted.name/with slash": tf.Variable([0.0])})

def restored(path, counter):
    o = objects()
    checkpoint = tf.train.Checkpoint(**o)
    status = checkpoint.restore(path) if counter else checkpoint.read(path)
    status.assert_consumed().assert_existing_objects_matched()
    n = lambda v: v.numpy().tolist()
    return [n(o["step"]), n(o["old"]), n(o["weights"]["kernel"]), n(o["weights"]["bias"]), n(o["layers"][0]),
            n(o["layers"][1]["gamma"]), o["state"].text, n(o["dotted.name/with slash"]), [w.decode() for w in n(o["words"])],
            int(checkpoint.save_counter.numpy()) if counter else 0]

out = {"nested": restored(nested, True), "sharded": restored(sharded, False), "replaced": restored(replaced, False)}

x = tf.Variable([0.0])
tf.train.Checkpoint(x=x).read(single).assert_consumed()
out["single"] = x.numpy().tolist()
out["latest"] = tf.train.latest_checkpoint(os.path.dirname(nested))

u = tf.Variable([0.0, 0.0])
momentum = tf.compat.v1.train.MomentumOptimizer(0.1, 0.9)
momentum.apply_gradients([(tf.constant([0.0, 0.0]), u)])
tf.train.Checkpoint(u=u, optimizer=momentum).read(slots).assert_consumed()
out["slots"] = [u.numpy().tolist(), momentum.get_slot(u, "momentum").numpy().tolist()]

model = tf.keras.Sequential([tf.keras.layers.Input((3,)), tf.keras.layers.Dense(2), tf.keras.layers.Dense(1)])
tf.train.Checkpoint(model=model).read(keras).assert_existing_objects_matched()
out["keras"] = [model.layers[0].kernel.numpy().ravel().tolist(), model.layers[1].bias.numpy().tolist()]
print(json.dumps(out))
`;
