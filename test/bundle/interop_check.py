"""Reads checkpoints written by this package with TensorFlow. Input: JSON {prefixes: [...], merge: {inputs, output}}."""

import json
import sys

import numpy as np
import tensorflow as tf


def describe(array, dtype):
    if dtype == tf.string:
        return [bytes(x).hex() for x in np.asarray(array, dtype=object).reshape(-1).tolist()]
    return np.ascontiguousarray(array).tobytes().hex()


def plain(value, dtype):
    """Quantized and packed types as their bytes."""
    if dtype.name.startswith("q"):
        value = tf.bitcast(value, {"8": tf.uint8, "16": tf.uint16, "32": tf.int32}[dtype.name.lstrip("quint")])
    elif dtype.name in ("int4", "uint4"):
        value = tf.cast(value, tf.int8)
    return value.numpy()


def read(prefix):
    reader = tf.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    dtypes = reader.get_variable_to_dtype_map()
    names = sorted(shapes)
    values = tf.raw_ops.RestoreV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), dtypes=[dtypes[n] for n in names])
    result = {}
    for name, value in zip(names, values):
        assert list(value.shape) == shapes[name], (name, value.shape, shapes[name])
        result[name] = {"dtype": dtypes[name].name, "shape": shapes[name], "data": describe(plain(value, dtypes[name]), dtypes[name])}
    return result


request = json.load(sys.stdin)
merge = request["merge"]
tf.raw_ops.MergeV2Checkpoints(
    checkpoint_prefixes=merge["inputs"], destination_prefix=merge["output"], delete_old_dirs=False)
json.dump({prefix: read(prefix) for prefix in request["prefixes"] + [merge["output"]]}, sys.stdout)
