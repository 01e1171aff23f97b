import { CheckpointError, invalidArgument } from '../errors.ts';
import { SCALAR } from '../tensor/shape.ts';
import type { Counter, CounterDType } from './counter.ts';
import { PYTHON_STATE, VARIABLE_VALUE } from './keys.ts';
import type { Serializable, TrackableNode, TrackableValue } from './trackable.ts';

/** The node of a Counter: an integer scalar. */
export function counterNode(counter: Counter): TrackableNode {
  return {
    identity: counter,
    description: 'Counter',
    values: () => [
      {
        attribute: VARIABLE_VALUE,
        dtype: counter.dtype,
        shape: SCALAR,
        acceptedDTypes: ['int64', 'int32'],
        capture: () => ({ source: { kind: 'memory', bytes: counterBytes(counter) } }),
        destination: {
          kind: 'replace',
          assign(value) {
            const view = new DataView(value.bytes.buffer, value.bytes.byteOffset, value.byteLength);
            const stored = value.dtype === 'int64' ? view.getBigInt64(0, true) : BigInt(view.getInt32(0, true));
            const number = Number(stored);
            if (!Number.isSafeInteger(number)) {
              throw new CheckpointError(
                'OUT_OF_RANGE',
                `The stored counter ${stored} does not fit a JavaScript number.`,
              );
            }
            counter.restore(number, value.dtype as CounterDType);
          },
        },
      },
    ],
  };
}

function counterBytes(counter: Counter): Uint8Array {
  const bytes = new Uint8Array(counter.dtype === 'int64' ? 8 : 4);
  const view = new DataView(bytes.buffer);
  if (counter.dtype === 'int64') view.setBigInt64(0, BigInt(counter.value), true);
  else view.setInt32(0, counter.value, true);
  return bytes;
}

/** The values of serializable state. */
export function stateValues(state: Serializable): TrackableValue[] {
  return [
    {
      attribute: PYTHON_STATE,
      dtype: 'string',
      shape: SCALAR,
      capture() {
        const text = state.serialize();
        if (typeof text !== 'string' || !text.isWellFormed()) {
          throw invalidArgument(
            typeof text === 'string'
              ? 'serialize() returned text with a lone surrogate, which UTF-8 can not hold. Encode binary state, for example as base64.'
              : `serialize() must return a string, not ${text === null ? 'null' : typeof text}. It is called synchronously: a promise can't be saved.`,
          );
        }
        return { source: { kind: 'strings', elements: [new TextEncoder().encode(text)] } };
      },
      destination: {
        kind: 'replace',
        assign(value) {
          const bytes = (value.data as Uint8Array[])[0]!;
          let text: string;
          try {
            text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
          } catch (cause) {
            throw new CheckpointError(
              'UNSUPPORTED',
              'The stored state is binary, not UTF-8 text; read it with loadVariable().',
              { cause },
            );
          }
          state.deserialize(text);
        },
      },
    },
  ];
}

/** The node of serializable state: a string scalar, as TensorFlow's PythonState is. */
export function stateNode(state: Serializable): TrackableNode {
  return { identity: state, description: 'Serializable', values: () => stateValues(state) };
}
