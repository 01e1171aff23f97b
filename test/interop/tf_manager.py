"""Opens TensorFlow's CheckpointManager on a directory, restores, trains on and saves.

Arguments: directory, max_to_keep, saves. Standard output: what was restored and what is there afterwards.
"""
import json
import logging
import sys

import tensorflow as tf

logging.getLogger("tensorflow").setLevel(logging.CRITICAL)

directory, keep, saves = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
step = tf.Variable(0, dtype=tf.int64)
weights = tf.Variable([0.0, 0.0, 0.0])
checkpoint = tf.train.Checkpoint(step=step, weights=weights)
manager = tf.train.CheckpointManager(checkpoint, directory, keep, step_counter=step, checkpoint_interval=2)
found = {"managed": manager.checkpoints}
found["restored"] = manager.restore_or_initialize()
found["step"] = int(step.numpy())
found["weights"] = weights.numpy().tolist()
found["again"] = manager.save()
found["saved"] = []
for _ in range(saves):
  step.assign_add(2)
  weights.assign(weights + 1.0)
  found["saved"].append(manager.save())
found["checkpoints"] = manager.checkpoints
json.dump(found, sys.stdout)
