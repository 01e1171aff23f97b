import type { TrackableNode } from '../checkpoint/trackable.ts';
import type { WeightFacts } from './facts.ts';
import type { TfLayersModel } from './types.ts';

/** The local name of the list of an imported model's weights, each under the name that TensorFlow.js has for it. */
export const NAMED_WEIGHTS = '_tfjs_weights';

/** Where the weights of a model are below its node: what an export needs, which sees the checkpoint alone. */
export class WeightPaths {
  readonly #model: TfLayersModel;
  readonly #adapt: (value: unknown) => TrackableNode | undefined;
  /** The last answer, and the variables it was about: in a training they stay. */
  #last: { readonly variables: readonly object[]; readonly facts: readonly WeightFacts[] } | undefined;

  constructor(model: TfLayersModel, adapt: (value: unknown) => TrackableNode | undefined) {
    this.#model = model;
    this.#adapt = adapt;
  }

  now(): readonly WeightFacts[] {
    const { weights } = this.#model;
    const variables = weights.map((weight) => weight.read());
    const last = this.#last;
    if (
      last?.variables.length === variables.length &&
      variables.every((variable, i) => variable === last.variables[i])
    ) {
      return last.facts;
    }
    const paths = this.#walk(new Set(variables));
    const facts = weights.flatMap(({ originalName }, i) => {
      const path = paths.get(variables[i]!);
      return path === undefined ? [] : [{ name: originalName, path }];
    });
    this.#last = { variables, facts };
    return facts;
  }

  /** Breadth-first below the model, its optimizer left out. */
  #walk(wanted: ReadonlySet<object>): Map<object, readonly string[]> {
    const found = new Map<object, readonly string[]>();
    const seen = new Set<object>([this.#model]);
    const queue: { value: unknown; path: readonly string[] }[] = [{ value: this.#model, path: [] }];
    for (const { value, path } of queue) {
      for (const [name, child] of this.#adapt(value)?.children?.() ?? []) {
        if (path.length === 0 && name === 'optimizer') continue;
        if (typeof child !== 'object' || child === null || seen.has(child)) continue;
        seen.add(child);
        const below = [...path, name];
        if (wanted.has(child)) found.set(child, below);
        else queue.push({ value: child, path: below });
      }
    }
    return found;
  }
}
