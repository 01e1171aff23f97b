import { PYTHON_STATE, VARIABLE_VALUE } from '../checkpoint/keys.ts';
import type { TrackableNode, TrackableValue } from '../checkpoint/trackable.ts';
import type { DType } from '../tensor/dtypes.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';

/** A node of the object graph that no object of the user's stands for: a list, or a number in a field. */
export class Part {
  readonly node: TrackableNode;

  constructor(node: Omit<TrackableNode, 'identity'>) {
    this.node = { ...node, identity: this };
  }
}

/** The parts of objects, each made once: a part's identity must be the same at every save and restore. */
export class Parts {
  readonly #of = new WeakMap<object, Map<string, Part>>();

  of(owner: object, name: string, make: () => Omit<TrackableNode, 'identity'>): Part {
    let own = this.#of.get(owner);
    if (own === undefined) {
      own = new Map();
      this.#of.set(owner, own);
    }
    let part = own.get(name);
    if (part === undefined) {
      part = new Part(make());
      own.set(name, part);
    }
    return part;
  }

  /** A list, its items named "0", "1", … as TensorFlow names those of a Python list. */
  list(owner: object, name: string, items: () => readonly unknown[]): Part {
    return this.of(owner, name, () => ({
      description: name,
      *children() {
        for (const [i, item] of items().entries()) yield [String(i), item] as const;
      },
    }));
  }

  /** A number in a field of `owner`, as a scalar. */
  number(owner: object, name: string, field: NumberField): Part {
    return this.of(owner, name, () => ({ description: name, values: () => [numberValue(field)] }));
  }

  /** A text that is saved beside `owner` and only told at a restore: what the owner is. */
  text(owner: object, name: string, get: () => string): Part {
    return this.of(owner, name, () => ({ description: name, values: () => [textValue(get)] }));
  }
}

function textValue(get: () => string): TrackableValue {
  return {
    attribute: PYTHON_STATE,
    dtype: 'string',
    shape: [],
    optional: true,
    capture: () => ({ source: { kind: 'strings', elements: [new TextEncoder().encode(get())] } }),
    // An object that exists is what it is.
    destination: { kind: 'replace', assign() {} },
  };
}

export interface NumberField {
  readonly dtype: 'float32' | 'int64';
  get(): number;
  set(value: number): void;
}

function numberValue(field: NumberField): TrackableValue {
  const accepted: readonly DType[] = field.dtype === 'int64' ? ['int32'] : ['float64'];
  return {
    attribute: VARIABLE_VALUE,
    dtype: field.dtype,
    shape: [],
    acceptedDTypes: accepted,
    capture() {
      const values = field.dtype === 'int64' ? BigInt64Array.of(BigInt(field.get())) : Float32Array.of(field.get());
      return { source: { kind: 'memory', bytes: new Uint8Array(values.buffer) } };
    },
    destination: { kind: 'replace', assign: (value) => field.set(numberOf(value)) },
  };
}

function numberOf(value: HostTensor): number {
  const stored = (value.data as ArrayLike<number | bigint>)[0]!;
  return value.dtype === 'float32' ? shortestOf(stored as number) : Number(stored);
}

/**
 * The number with the fewest digits that rounds to this float32: 0.001 rather than 0.0010000000474974513. A field
 * of TensorFlow.js holds what the user wrote; computing with either gives the same float32.
 */
function shortestOf(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
