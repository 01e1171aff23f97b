"""TensorFlow's raw SaveV2 of many small tensors, without objects or graph: `save_v2.py DIRECTORY COUNT BYTES SAVES`.

A save is timed until its files and the directory are on the disk (fsync). The first one of a process also has the kernel
of so many inputs made: it is listed like the others. The answer is one line of JSON after '@bench '; null without TensorFlow.
"""
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    import numpy as np
    import tensorflow as tf
    from peers import answer, fsync_tree
except ImportError:
    print("@bench null")
    sys.exit()

directory, count, size, saves = sys.argv[1], *map(int, sys.argv[2:5])
names = [f"layers/{i // 4}/weight{i % 4}/.ATTRIBUTES/VARIABLE_VALUE" for i in range(count)]
tensors = [tf.constant(np.full(size // 4, i, np.float32)) for i in range(count)]
slices = [""] * count
os.makedirs(directory)
seconds = []
for save in range(saves):
    prefix = f"{directory}/save-{save}"
    start = time.perf_counter()
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=slices, tensors=tensors)
    fsync_tree(directory)
    seconds.append(time.perf_counter() - start)
answer({"seconds": seconds})
