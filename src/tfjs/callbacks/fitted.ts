import type { Adapter, TrackableNode } from '../../checkpoint/trackable.ts';
import { tfjs } from '../adapter.ts';
import type { TensorFlowJs } from '../types.ts';
import type { FittedModel } from './callback.ts';

/**
 * Adapters for a checkpoint of the model that a callback was given. A Sequential gives its callbacks the functional
 * model inside it, and no way back. So the layers are stored under both names, as a functional model has them
 * (`_operations`) and as a Sequential has (`_functional/_operations`): either can be restored from the checkpoint.
 */
export function fittedAdapters(tf: TensorFlowJs, model: FittedModel): Adapter[] {
  const adapter = tfjs(tf);
  const functional: TrackableNode = {
    identity: {},
    description: '_functional',
    *children() {
      for (const edge of adapter.adapt(model)!.children!()) if (edge[0] === '_operations') yield edge;
    },
  };
  const inner = { functional };
  const both: Adapter = {
    name: 'tfjs model in training',
    adapt(value) {
      if (value === inner) return functional;
      if (value !== model) return undefined;
      const node = adapter.adapt(model)!;
      return {
        ...node,
        *children() {
          yield* node.children!();
          yield ['_functional', inner] as const;
        },
      };
    },
  };
  return [both, adapter];
}
