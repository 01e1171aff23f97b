"""Runs the scenarios given on standard input (JSON, see steps.ts) through TensorFlow's own CheckpointManager.

Prints a JSON list of {name, observations, errors}: one observation a step, and for people the text of each error.
"""
import base64
import json
import logging
import os
import shutil
import sys
import tempfile
import types

import numpy as np
import tensorflow as tf
from tensorflow.python.checkpoint import checkpoint_management

logging.getLogger("tensorflow").setLevel(logging.CRITICAL)
START_OF_TIME = 1_000_000_000

KINDS = {
    "counter": lambda: tf.Variable(0, dtype=tf.int64),
    "float2": lambda: tf.Variable([0.0, 0.0]),
    "float3": lambda: tf.Variable([0.0, 0.0, 0.0]),
    "int2": lambda: tf.Variable([0, 0], dtype=tf.int32),
}
ASSERTIONS = {
    "consumed": "assert_consumed",
    "existing": "assert_existing_objects_matched",
    "nontrivial": "assert_nontrivial_match",
}


class Refused(Exception):
  """The user's write callback fails with this."""


class Run:
  """One scenario: a directory, a clock, and at most one manager at a time."""

  def __init__(self, root):
    self.root = root
    self.now = START_OF_TIME
    self.manager = None
    self.checkpoint = None
    self.objects = {}
    self.box = None
    self.options = None
    self.status = None
    self.pending = False
    self.init_calls = 0
    self.callbacks = []

  # -- steps -----------------------------------------------------------------

  def do(self, step):
    return getattr(self, "do_" + step["op"])(step)

  def do_clock(self, step):
    self.now = step["to"] if "to" in step else self.now + step["add"]

  def do_open(self, step):
    if self.pending:
      self.do_sync(step)
    self.manager = None
    if not step.get("sameCheckpoint"):
      self.make_checkpoint(step.get("objects", {"step": "counter", "value": "float2"}))
    options = {}
    for ours, theirs in (("everyNHours", "keep_checkpoint_every_n_hours"), ("name", "checkpoint_name"),
                         ("interval", "checkpoint_interval"), ("lastStep", "last_checkpoint_step")):
      if ours in step:
        options[theirs] = step[ours]
    if step.get("stepCounter", "interval" in step):
      options["step_counter"] = self.objects["step"]
    if step.get("initFn"):
      options["init_fn"] = self.initialize
    directory = os.path.join(self.root, step.get("directory", "run"))
    self.manager = tf.train.CheckpointManager(self.checkpoint, directory, step["maxToKeep"], **options)

  def make_checkpoint(self, kinds):
    self.objects = {}
    self.box = None
    self.status = None
    top = {}
    for name, kind in kinds.items():
      if name == "box" or name.startswith("box."):
        if self.box is None:
          self.box = tf.Module()
          top["box"] = self.box
      if name.startswith("box."):
        self.attach(name, kind)
      elif name != "box":
        top[name] = self.objects[name] = KINDS[kind]()
    self.checkpoint = tf.train.Checkpoint(**top)

  def attach(self, name, kind):
    self.objects[name] = KINDS[kind]()
    setattr(self.box, name[len("box."):], self.objects[name])

  def initialize(self):
    self.init_calls += 1
    self.objects["value"].assign([7.0, 7.0])

  def do_save(self, step):
    arguments = {}
    number = step.get("number")
    variable = None
    if isinstance(number, dict):
      number = variable = tf.Variable(number["counter"], dtype=tf.int64)
    if number is not None:
      arguments["checkpoint_number"] = number
    if "checkInterval" in step:
      arguments["check_interval"] = step["checkInterval"]
    if not step.get("sameOptions"):
      self.options = None
      if step.get("async") or "callbacks" in step:
        callbacks = [getattr(self, "callback_" + kind) for kind in step["callbacks"]] if "callbacks" in step else None
        self.options = tf.train.CheckpointOptions(
            enable_async=bool(step.get("async")), experimental_write_callbacks=callbacks)
    self.pending = self.pending or bool(self.options and self.options.enable_async)
    path = self.manager.save(options=self.options, **arguments)
    if variable is not None:
      return [path, int(variable.numpy())]
    return path

  def callback_path(self, path):
    self.callbacks.append([path, self.manager.latest_checkpoint])

  def callback_none(self):
    self.callbacks.append([None, self.manager.latest_checkpoint])

  def callback_throw(self, path):
    self.callbacks.append([path, self.manager.latest_checkpoint])
    raise Refused()

  def do_restoreOrInitialize(self, step):
    return self.manager.restore_or_initialize()

  def do_sync(self, step):
    self.manager.sync()
    self.pending = False

  def do_set(self, step):
    self.objects[step["name"]].assign(step["value"])

  def do_attach(self, step):
    self.attach(step["name"], step["kind"])

  def do_latest(self, step):
    return tf.train.latest_checkpoint(os.path.join(self.root, step.get("directory", "run")))

  def do_state(self, step):
    state = tf.train.get_checkpoint_state(os.path.join(self.root, step.get("directory", "run")))
    if state is None:
      return None
    return {
        "latest": state.model_checkpoint_path,
        "paths": list(state.all_model_checkpoint_paths),
        "timestamps": [self.number(t) for t in state.all_model_checkpoint_timestamps],
        "lastPreserved": self.number(state.last_preserved_timestamp),
    }

  def do_checkpointSave(self, step):
    return self.checkpoint.save(os.path.join(self.root, step["prefix"]))

  def do_checkpointWrite(self, step):
    return self.checkpoint.write(os.path.join(self.root, step["prefix"]))

  def do_restore(self, step):
    prefix = step["prefix"]
    method = getattr(self.checkpoint, step["op"])
    self.status = method(None if prefix is None else os.path.join(self.root, prefix))
    return self.do_assert(step)

  do_read = do_restore

  def do_assert(self, step):
    result = {}
    for name in step.get("assert", []):
      try:
        getattr(self.status, ASSERTIONS[name])()
        result[name] = "ok"
      except Exception:  # pylint: disable=broad-except
        result[name] = "error"
    return result

  def do_file(self, step):
    path = os.path.join(self.root, step["path"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if "base64" in step:
      data = base64.b64decode(step["base64"])
    else:
      data = step["text"].replace("{dir}", self.root).encode()
    with open(path, "wb") as f:
      f.write(data)

  def do_delete(self, step):
    for path in step["paths"]:
      path = os.path.join(self.root, path)
      if os.path.isdir(path):
        shutil.rmtree(path)
      else:
        os.unlink(path)

  def do_deleteManaged(self, step):
    managed = self.manager.checkpoints
    if step["nth"] >= len(managed) or managed[step["nth"]] == self.manager.latest_checkpoint:
      return
    prefix = managed[step["nth"]]
    directory = os.path.dirname(prefix)
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
      path = os.path.join(directory, name)
      index = path == prefix + ".index"
      data = path.startswith(prefix + ".data-")
      if (index and step["what"] != "data") or (data and step["what"] != "index"):
        os.unlink(path)

  def do_touch(self, step):
    os.utime(os.path.join(self.root, step["path"]), (step["time"] / 1000, step["time"] / 1000))

  def do_directory(self, step):
    os.makedirs(os.path.join(self.root, step["path"]))

  def do_damage(self, step):
    with open(os.path.join(self.root, step["path"]), "r+b") as f:
      data = bytearray(f.read())
      data[len(data) // 2] ^= 1
      f.seek(0)
      f.write(data)

  # -- what is seen ----------------------------------------------------------

  def observe(self, result):
    files, states = self.walk()
    manager = self.manager
    # An asynchronous save changes these at a moment of its own: only what is certain is looked at.
    unknown = self.pending
    counter = self.checkpoint._save_counter if self.checkpoint is not None else None  # pylint: disable=protected-access
    return {
        "result": self.relative(result),
        "latest": None if manager is None or unknown else self.relative(manager.latest_checkpoint),
        "checkpoints": None if manager is None or unknown else self.relative(manager.checkpoints),
        "saveCounter": 0 if self.checkpoint is not None and counter is None else
                       None if counter is None else int(counter.numpy()),
        "values": {name: self.plain(v.numpy()) for name, v in self.objects.items()} or None,
        "initCalls": self.init_calls,
        "callbacks": [] if unknown else self.relative(self.callbacks),
        "states": {} if unknown else states,
        "files": [] if unknown else files,
    }

  @staticmethod
  def number(value):
    """A double as JSON can hold it: JSON has no nan, inf, and JavaScript's has no -0."""
    return value if np.isfinite(value) and str(value) != "-0.0" else str(value)

  @staticmethod
  def plain(value):
    return value.item() if np.ndim(value) == 0 else [float(x) for x in value]

  def relative(self, value):
    if isinstance(value, str):
      if value == self.root:
        return "."
      return value[len(self.root) + 1:] if value.startswith(self.root + "/") else value.replace(self.root, "{dir}")
    if isinstance(value, (list, tuple)):
      return [self.relative(v) for v in value]
    if isinstance(value, dict):
      return {k: self.relative(v) for k, v in value.items()}
    return value

  def walk(self):
    files = []
    states = {}
    for directory, names, leaves in os.walk(self.root):
      for name in names:
        files.append(os.path.relpath(os.path.join(directory, name), self.root) + "/")
      for name in leaves:
        path = os.path.join(directory, name)
        relative = os.path.relpath(path, self.root)
        files.append(relative)
        if name == "checkpoint":
          with open(path, "rb") as f:
            states[relative] = f.read().decode("latin-1").replace(self.root, "{dir}")
    return sorted(files), dict(sorted(states.items()))


def run(scenario, parent):
  root = os.path.realpath(tempfile.mkdtemp(dir=parent))
  current = Run(root)
  # The manager's own clock, and no other: TensorFlow's file operations keep the real one.
  checkpoint_management.time = types.SimpleNamespace(time=lambda: current.now / 1000)
  observations = []
  errors = []
  for number, step in enumerate(scenario["steps"]):
    try:
      result = current.do(step)
    except Exception as e:  # pylint: disable=broad-except
      result = "error"
      errors.append(f"step {number} ({step['op']}): {type(e).__name__}: {e}")
      if step["op"] not in ("open", "save", "restoreOrInitialize", "sync", "state", "latest", "checkpointSave",
                            "checkpointWrite", "restore", "read", "set"):
        raise RuntimeError(f"scenario {scenario['name']!r}, {errors[-1]}") from e
    observations.append(current.observe(result))
  if current.pending:
    raise RuntimeError(f"scenario {scenario['name']!r} ends with a save under way")
  shutil.rmtree(root)
  return {"name": scenario["name"], "observations": observations, "errors": errors}


def main():
  scenarios = json.load(sys.stdin)
  with tempfile.TemporaryDirectory() as parent:
    results = [run(scenario, parent) for scenario in scenarios]
  json.dump(results, sys.stdout)


if __name__ == "__main__":
  main()
