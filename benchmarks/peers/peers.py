"""Saves and loads of the peers, one a process: `peers.py PEER VARIANT save|load JSON`.

The same for all: random float32 (and 16-bit) tensors of the layout; a save is timed until every file and directory is
on the disk (fsync), a load from the call until every page of every tensor is there. Imports and the making of the state
are not timed. Of several saves in one process the first is a warm-up. The answer is one line of JSON after '@bench '.
"""
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import numpy as np

DTYPES = {"float32": np.float32, "bfloat16": np.int16}  # The bits count, not their meaning.
CORES = len(os.sched_getaffinity(0))


def make_state(groups, fill):
    """Name -> array; filled with noise that doesn't compress, or zeroed and touched."""
    noise = np.random.default_rng(1).integers(0, 0x3F800000, 1 << 22, dtype=np.uint32).view(np.uint8)
    state, turn = {}, 0
    for group in groups:
        for index in range(group["count"]):
            raw = np.empty(group["bytes"], np.uint8)
            if fill:
                turn = (turn + 4052) % 65536
                source = noise[turn:]
                for at in range(0, raw.nbytes, source.nbytes):
                    raw[at : at + source.nbytes] = source[: raw.nbytes - at]
            else:
                raw[:] = 0
            state[f"{group['name']}_{index}"] = raw.view(DTYPES[group["dtype"]])
    return state


def fsync_tree(path):
    """What none of them but DCP does by itself: all files, then all directories, down to the disk, in parallel."""

    def fsync(name):
        fd = os.open(name, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    files = [os.path.join(top, name) for top, _, names in os.walk(path) for name in names]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fsync, files))
        list(pool.map(fsync, [top for top, _, _ in os.walk(path)]))
    fsync(os.path.dirname(path))


def touch(arrays):
    """Reads a word of every page, so that nothing is left to be paged in later."""
    return sum(int(np.asarray(a).reshape(-1).view(np.uint8)[::4096].sum(dtype=np.uint64)) for a in arrays)


class TensorFlow:
    loads_into = "existing"
    package, variants = "tensorflow-cpu", {"default": "tf.train.CheckpointManager(tf.train.Checkpoint(**variables), dir, max_to_keep=1).save()"}

    def __init__(self, variant):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        self.tf = tf

    def hold(self, state):
        self.variables = {}
        for name in list(state):
            self.variables[name] = self.tf.Variable(state.pop(name))
        self.checkpoint = self.tf.train.Checkpoint(**self.variables)

    def save(self, path):
        self.tf.train.CheckpointManager(self.checkpoint, path, max_to_keep=1).save()

    def prepare_load(self, path, groups):
        self.hold(make_state(groups, fill=False))

    def load(self, path):
        self.checkpoint.restore(self.tf.train.latest_checkpoint(path)).assert_existing_objects_matched()
        return []  # Assigned variables are copies in memory: there is nothing to be paged in.


class Torch:
    package, variants = "torch", {
        "default": "torch.save(state, file); torch.load(file, weights_only=True)",
        "no-crc": "torch.serialization.set_crc32_options(False); torch.save(state, file); torch.load(file, weights_only=True)",
        "mmap": "torch.save(state, file); torch.load(file, mmap=True, weights_only=True), each tensor cloned",
    }

    def __init__(self, variant):
        import torch

        self.torch, self.variant = torch, variant
        torch.serialization.set_crc32_options(variant != "no-crc")

    def hold(self, state):
        self.state = {name: self.torch.from_numpy(array) for name, array in state.items()}

    def save(self, path):
        self.torch.save(self.state, os.path.join(path, "state.pt"))

    def prepare_load(self, path, groups):
        pass

    def load(self, path):
        loaded = self.torch.load(os.path.join(path, "state.pt"), mmap=self.variant == "mmap", weights_only=True)
        if self.variant == "mmap":  # A training run needs memory of its own, not the file's pages.
            loaded = {name: tensor.clone() for name, tensor in loaded.items()}
        return [tensor.numpy() for tensor in loaded.values()]


class Dcp:
    loads_into = "existing"
    package, variants = "torch", {
        "threads-1": "dcp.save(state, storage_writer=FileSystemWriter(dir, sync_files=True)); dcp.load(state, storage_reader=FileSystemReader(dir))",
        "threads-n": f"as above with FileSystemWriter(dir, single_file_per_rank=False, thread_count={CORES}, sync_files=True)",
        "threads-2n": f"as above with FileSystemWriter(dir, single_file_per_rank=False, thread_count={2 * CORES}, sync_files=True)",
    }

    def __init__(self, variant):
        import warnings

        import torch
        import torch.distributed.checkpoint as dcp

        warnings.filterwarnings("ignore")
        self.torch, self.dcp = torch, dcp
        threads = {"threads-1": 1, "threads-n": CORES, "threads-2n": 2 * CORES}[variant]
        self.writer = {"single_file_per_rank": threads == 1, "thread_count": threads, "sync_files": True}

    def hold(self, state):
        self.state = {name: self.torch.from_numpy(array) for name, array in state.items()}

    def save(self, path):
        self.dcp.save(self.state, storage_writer=self.dcp.FileSystemWriter(path, **self.writer), no_dist=True)

    def prepare_load(self, path, groups):
        self.hold(make_state(groups, fill=False))

    def load(self, path):
        self.dcp.load(self.state, storage_reader=self.dcp.FileSystemReader(path), no_dist=True)
        return [tensor.numpy() for tensor in self.state.values()]


class Safetensors:
    package, variants = "safetensors", {
        "torch": "safetensors.torch.save_file(state, file); safetensors.torch.load_file(file)",
        "numpy": "safetensors.numpy.save_file(state, file); safetensors.numpy.load_file(file)",
    }

    def __init__(self, variant):
        self.variant = variant
        if variant == "torch":
            import safetensors.torch as module
        else:
            import safetensors.numpy as module
        self.module = module

    def hold(self, state):
        self.state = state
        if self.variant == "torch":
            import torch

            self.state = {name: torch.from_numpy(array) for name, array in state.items()}

    def save(self, path):
        self.module.save_file(self.state, os.path.join(path, "state.safetensors"))

    def prepare_load(self, path, groups):
        pass

    def load(self, path):
        return [np.asarray(t) for t in self.module.load_file(os.path.join(path, "state.safetensors")).values()]


class Orbax:
    package, variants = "orbax-checkpoint", {
        "default": "ocp.StandardCheckpointer().save(dir, state), wait_until_finished(); restore(dir)",
        "zarr3": "ocp.PyTreeCheckpointer(use_ocdbt=True, use_zarr3=True).save(dir, state); restore(dir)",
        "files": "ocp.PyTreeCheckpointer(use_ocdbt=False).save(dir, state); restore(dir)",
    }

    def __init__(self, variant):
        import logging

        logging.disable(logging.WARNING)
        import orbax.checkpoint as ocp

        self.checkpointer = {
            "default": ocp.StandardCheckpointer,
            "zarr3": lambda: ocp.PyTreeCheckpointer(use_ocdbt=True, use_zarr3=True),
            "files": lambda: ocp.PyTreeCheckpointer(use_ocdbt=False),
        }[variant]()

    def hold(self, state):
        self.state = state

    def save(self, path):
        self.checkpointer.save(os.path.join(path, "state"), self.state)
        if hasattr(self.checkpointer, "wait_until_finished"):
            self.checkpointer.wait_until_finished()

    def prepare_load(self, path, groups):
        pass

    def load(self, path):
        return list(self.checkpointer.restore(os.path.join(path, "state")).values())


PEERS = {"tensorflow": TensorFlow, "torch": Torch, "dcp": Dcp, "safetensors": Safetensors, "orbax": Orbax}


def main():
    if sys.argv[1] == "list":
        found = {}
        for name, peer in PEERS.items():
            try:
                found[name] = {"version": version(peer.package), "variants": peer.variants, "loadsInto": getattr(peer, "loads_into", "fresh")}
            except Exception:
                pass
        return found
    name, variant, what, order = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
    if what == "choose":
        return {variant: try_variant(PEERS[name], variant, order) for variant in PEERS[name].variants}
    peer = PEERS[name](variant)
    return timed_load(peer, order) if what == "load" else timed_save(peer, order)


def timed_load(peer, order):
    path = order["directory"]
    peer.prepare_load(path, order["groups"])
    have_memory_at_hand(order)
    cpu, start = time.process_time(), time.perf_counter()
    arrays = peer.load(path)
    touch(arrays)
    return {"seconds": time.perf_counter() - start, "cpuSeconds": time.process_time() - cpu}


def timed_save(peer, order):
    path = order["directory"]
    peer.hold(make_state(order["groups"], fill=True))
    for _ in range(order["saves"]):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        if order["durable"]:
            os.sync()  # What deleting left to do is not this save's.
        have_memory_at_hand(order)
        cpu, start = time.process_time(), time.perf_counter()
        peer.save(path)
        if order["durable"]:
            fsync_tree(path)
        answer = {"seconds": time.perf_counter() - start, "cpuSeconds": time.process_time() - cpu}
    return answer


def have_memory_at_hand(order):
    """See benchmarks/lib/memory-at-hand.js: the state in memory again, or its files in the page cache, need it."""
    subprocess.run(order["memoryUser"], check=True)


def try_variant(peer, variant, order):
    """To choose among variants one process does for all: what each imports takes longer than a small state."""
    try:
        save = timed_save(peer(variant), order)["seconds"]
        forget(order["directory"])
        return {"save": save, "load": timed_load(peer(variant), order)["seconds"]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def forget(path):
    """Drops all files from the page cache, once they are on the disk."""
    fsync_tree(path)
    for top, _, names in os.walk(path):
        for name in names:
            fd = os.open(os.path.join(top, name), os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def answer(value):
    print("@bench " + json.dumps(value), flush=True)
    os._exit(0)  # Libraries with threads of their own may take seconds to come down, or never do.


if __name__ == "__main__":
    answer(main())
