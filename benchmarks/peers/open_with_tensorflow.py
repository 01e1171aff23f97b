"""Opens a checkpoint with TensorFlow and reads some of its tensors: `open_with_tensorflow.py PREFIX KEY …`."""
import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf

start = time.perf_counter()
reader = tf.train.load_checkpoint(sys.argv[1])
shapes = reader.get_variable_to_shape_map()
opened = time.perf_counter() - start
zeros = all(not np.any(reader.get_tensor(key)) for key in sys.argv[2:])
print("@bench " + json.dumps({"variables": len(shapes), "seconds": opened, "zeros": zeros}), flush=True)
os._exit(0)
