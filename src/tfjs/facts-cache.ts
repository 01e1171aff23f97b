import type { TrackableNode } from '../checkpoint/trackable.ts';
import { modelFacts } from './facts.ts';
import type { TfLayersModel } from './types.ts';
import { WeightPaths } from './weight-paths.ts';

/** Fields of a LayersModel that go into its training configuration. */
interface TrainingFields {
  readonly optimizer?: { getConfig?(): object } | null;
  readonly loss?: unknown;
  readonly metrics?: unknown;
  readonly trainableWeights?: readonly object[];
}

/**
 * The text that says what a model is, made anew only when something in it has changed: of a model with hundreds of
 * layers `toJSON()` takes as long as everything else that a save does on the JavaScript thread. Looked at are the
 * layers, the weights, which of them are trained, metadata, and what the model is compiled with; a number that is
 * changed in a layer (a dropout's rate) shows with the next of these.
 */
export class CachedFacts {
  readonly #model: TfLayersModel;
  readonly #paths: WeightPaths;
  #seen: readonly unknown[] = [];
  #text = '';

  constructor(model: TfLayersModel, adapt: (value: unknown) => TrackableNode | undefined) {
    this.#model = model;
    this.#paths = new WeightPaths(model, adapt);
  }

  now(): string {
    const weights = this.#paths.now();
    const seen = [weights, ...this.#model.layers, ...this.#rest()];
    if (seen.length !== this.#seen.length || seen.some((part, i) => part !== this.#seen[i])) {
      this.#text = modelFacts(this.#model, weights);
      this.#seen = seen;
    }
    return this.#text;
  }

  #rest(): unknown[] {
    const { optimizer, loss, metrics, trainableWeights } = this.#model as TfLayersModel & TrainingFields;
    let config: string | undefined;
    try {
      config = JSON.stringify(optimizer?.getConfig?.());
    } catch {
      // Then the facts have no training configuration either.
    }
    return [optimizer, config, loss, metrics, trainableWeights?.length, this.#model.getUserDefinedMetadata?.()];
  }
}
