"""Saves and restores object trees (see tree.ts) with TensorFlow.

Standard input: a list of {action: "save" | "restore", prefix, tree, assertion?}. Standard output: a list of results:
the path saved, or the values found by path after the assertion named held.
"""
import base64
import json
import logging
import sys

import numpy as np
import tensorflow as tf

logging.getLogger("tensorflow").setLevel(logging.CRITICAL)


class TextState(tf.train.experimental.PythonState):

  def __init__(self, text):
    super().__init__()
    self.text = text

  def serialize(self):
    return self.text

  def deserialize(self, string_value):
    self.text = string_value.decode()


class Builder:

  def __init__(self, blank):
    self.blank = blank
    self.made = {}
    self.leaves = {}

  def build(self, tree, path=""):
    made = self.build_one(tree, path)
    self.made[path] = made
    return made

  def build_one(self, tree, path):
    def below(name):
      return f"{path}/{name}" if path else str(name)

    kind = tree["kind"]
    if kind == "tensor":
      self.leaves[path] = self.variable(tree)
      return self.leaves[path]
    if kind == "state":
      self.leaves[path] = TextState("" if self.blank else tree["text"])
      return self.leaves[path]
    if kind == "list":
      return [self.build(item, below(i)) for i, item in enumerate(tree["items"])]
    if kind == "same":
      return self.made[tree["path"]]
    children = {name: self.build(child, below(name)) for name, child in tree["children"].items()}
    if kind == "dict":
      return children
    module = tf.Module()
    for name, child in children.items():
      setattr(module, name, child)
    return module

  def variable(self, tree):
    dtype = tf.as_dtype(tree["dtype"])
    shape = tree["shape"]
    if dtype == tf.string:
      array = np.array([b"" if self.blank else base64.b64decode(s) for s in tree["strings"]], dtype=object)
      value = tf.constant(array.reshape(shape), tf.string, shape)
    else:
      data = base64.b64decode(tree["bytes"])
      array = np.frombuffer(bytes(len(data)) if self.blank else data, dtype=dtype.as_numpy_dtype).reshape(shape)
      value = tf.constant(array, dtype)
    return tf.Variable(value, dtype=dtype)

  def values(self):
    return {path: self.value(leaf) for path, leaf in self.leaves.items()}

  @staticmethod
  def value(leaf):
    if isinstance(leaf, TextState):
      return leaf.text
    array = leaf.numpy()
    if leaf.dtype == tf.string:
      return [base64.b64encode(s).decode() for s in np.reshape(np.array(array, dtype=object), [-1])]
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def do(task):
  builder = Builder(blank=task["action"] == "restore")
  checkpoint = tf.train.Checkpoint(**builder.build(task["tree"]))
  if task["action"] == "save":
    return checkpoint.save(task["prefix"])
  status = checkpoint.restore(task["prefix"])
  getattr(status, task.get("assertion", "assert_consumed"))()
  return builder.values()


json.dump([do(task) for task in json.load(sys.stdin)], sys.stdout)
