"""Arguments: a directory. For each model below: restores `<name>-ours` into it and trains a step; trains a fresh one and
writes `<name>-keras`. The models are those of keras-models.ts."""

import json
import sys

import keras
import numpy as np
import tensorflow as tf
from keras import layers, optimizers

keras.utils.set_random_seed(1)
IMAGE, TOKENS, ROW, STEPS = (6, 6, 2), (5,), (4,), (4, 3)


def images(o):
    inputs = keras.Input(IMAGE)
    x = layers.Conv2D(3, 3, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    return o, keras.Model(inputs, layers.Dense(2)(x))


def branches(o):
    image, tokens = keras.Input(IMAGE), keras.Input(TOKENS, dtype="int32")
    x = layers.Conv2D(3, 3, use_bias=False)(image)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.0)(x)
    x = layers.Flatten()(x)
    y = layers.Embedding(7, 4)(tokens)
    y = layers.LSTM(3)(y)
    shared = layers.Dense(2, activation="tanh")
    joined = layers.Add()([shared(layers.Dense(3)(x)), shared(y)])
    return o, keras.Model([image, tokens], [joined, layers.Dense(1)(layers.Concatenate()([joined, y]))])


def nested(o):
    inner = keras.Sequential([keras.Input(ROW), layers.Dense(3, activation="tanh"), layers.LayerNormalization()])
    deep = keras.Input((3,))
    functional = keras.Model(deep, layers.Dense(3)(deep))
    return o, keras.Sequential([keras.Input(ROW), inner, functional, layers.PReLU(), layers.Dense(1)])


def steps(o):
    return o, keras.Sequential(
        [
            keras.Input(STEPS),
            layers.GRU(3, return_sequences=True, reset_after=False),
            layers.TimeDistributed(layers.Dense(2)),
            layers.Bidirectional(layers.LSTM(2), merge_mode="sum"),
            layers.Dense(1),
        ]
    )


def convolutions(o):
    return o, keras.Sequential(
        [
            keras.Input(IMAGE),
            layers.SeparableConv2D(3, 2),
            layers.DepthwiseConv2D(2),
            layers.Conv2DTranspose(2, 2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1),
        ]
    )


def stateful(o):
    inputs = keras.Input(batch_shape=(2, *STEPS))
    x = layers.LSTM(3, stateful=True, return_sequences=True)(inputs)
    x = layers.SimpleRNN(2, stateful=True)(x)
    return o, keras.Model(inputs, layers.Dense(1)(x))


def dense(o):
    return o, keras.Sequential([keras.Input(ROW), layers.Dense(3, activation="tanh"), layers.Dense(1)])


MODELS = {
    "images": images(optimizers.SGD(0.05, momentum=0.9)),
    "branches": branches(optimizers.SGD(0.05, momentum=0.9)),
    "nested": nested(optimizers.Adam(0.01)),
    "steps": steps(optimizers.Adam(0.01)),
    "convolutions": convolutions(optimizers.RMSprop(0.01)),
    "stateful": stateful(optimizers.SGD(0.05)),
    "sgd": dense(optimizers.SGD(0.05)),
    "momentum": dense(optimizers.SGD(0.05, momentum=0.9)),
    "nesterov": dense(optimizers.SGD(0.05, momentum=0.9, nesterov=True)),
    "rmsprop": dense(optimizers.RMSprop(0.01, rho=0.9)),
    "rmsprop-momentum": dense(optimizers.RMSprop(0.01, rho=0.9, momentum=0.5)),
    "rmsprop-centered": dense(optimizers.RMSprop(0.01, rho=0.9, centered=True)),
    "rmsprop-both": dense(optimizers.RMSprop(0.01, rho=0.9, momentum=0.5, centered=True)),
    "adamax": dense(optimizers.Adamax(0.01)),
    "adagrad": dense(optimizers.Adagrad(0.05)),
    "adadelta": dense(optimizers.Adadelta(0.5)),
}


def values(shape, start):
    return np.sin(np.arange(np.prod(shape), dtype=np.float32) + start).reshape(shape).astype(np.float32)


def data(model):
    inputs = [
        (np.arange(10).reshape(2, 5) % 7).astype(np.int32) if x.dtype == "int32" else values((2, *x.shape[1:]), i)
        for i, x in enumerate(model.inputs)
    ]
    return inputs, [values((2, *x.shape[1:]), 10 + i) for i, x in enumerate(model.outputs)]


def call(model, inputs, training):
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=training)
    return outputs if isinstance(outputs, list) else [outputs]


def report(model):
    inputs, labels = data(model)

    def predict():
        outputs = call(model, inputs, training=False)
        return [x for output in outputs for x in np.ravel(output).tolist()]

    before = predict()
    step(model)
    return {"predictions": before, "after": predict(), "iterations": int(model.optimizer.iterations)}


def step(model):
    inputs, labels = data(model)
    with tf.GradientTape() as tape:
        outputs = call(model, inputs, training=True)
        loss = tf.add_n([tf.reduce_mean(tf.square(y - x)) for x, y in zip(outputs, labels)])
    variables = model.trainable_variables
    model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))


directory = sys.argv[1]
reports = {}
for name, (optimizer, model) in MODELS.items():
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    for _ in range(3):
        step(model)
    tf.train.Checkpoint(model=model).write(f"{directory}/{name}-keras")
    written = report(model)
    reports[name] = {"written": written}
    try:
        status = tf.train.Checkpoint(model=model).read(f"{directory}/{name}-ours").expect_partial()
        status.assert_existing_objects_matched()
        reports[name]["restored"] = report(model)
    except Exception as error:
        reports[name]["problem"] = str(error)[-2000:]
print(json.dumps(reports))
