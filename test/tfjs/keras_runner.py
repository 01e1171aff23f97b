"""Arguments: a directory. Restores `ours` into a Keras model and trains a step; trains another and writes `keras`."""

import json
import sys

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def create():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            layers.LSTM(3, return_sequences=True),
            layers.Conv1D(4, 2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Dropout(0.0),
            layers.Bidirectional(layers.SimpleRNN(2)),
            layers.Dense(2),
        ]
    )
    model.compile(keras.optimizers.Adam(0.5), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


inputs = np.sin(np.arange(24, dtype=np.float32)).reshape(2, 4, 3)
labels = np.ones((2, 2), np.float32)
predict = lambda model: model.predict(inputs, verbose=0).ravel().tolist()

model = create()
directory = sys.argv[1]
tf.train.Checkpoint(model=model).read(f"{directory}/ours").assert_existing_objects_matched()
restored = {
    "predictions": predict(model),
    "iterations": int(model.optimizer.iterations),
    "learning_rate": float(model.optimizer.learning_rate),
}
model.train_on_batch(inputs, labels)
restored["after_a_step"] = predict(model)

model = create()
model.optimizer.learning_rate = 0.01
for _ in range(3):
    model.train_on_batch(inputs, labels)
tf.train.Checkpoint(model=model).write(f"{directory}/keras")
written = {"predictions": predict(model)}
model.train_on_batch(inputs, labels)
written["after_a_step"] = predict(model)
print(json.dumps({"restored": restored, "written": written}))
