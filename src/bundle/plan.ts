import { invalidArgument } from '../errors.ts';
import { inTurns, ONE_TURN, resultOf, type Steps, type Turns } from '../steps.ts';
import type { DType } from '../tensor/dtypes.ts';
import { sameShape } from '../tensor/shape.ts';
import { fillPlan } from './fill-plan.ts';
import { buildIndexTemplate, type IndexTemplate, sortedByBytes } from './index-template.ts';
import type { ShardRequest } from './layout.ts';
import { checkEntries, checkOptions, columnsOf, sourceSizes } from './plan-input.ts';
import type { BundleColumns, BundleEntry, BundlePlan, PlanOptions } from './types.ts';

/** Replacing one prefix over and over alternates between two shard counts, so two templates are kept. */
const KEPT_TEMPLATES = 2;

/** An index template, and the structure that it is for in the order in which entries were given. */
export interface PlanTemplate extends IndexTemplate {
  readonly keys: readonly string[];
  readonly dtypes: readonly DType[];
  readonly shapes: ReadonlyArray<readonly number[]>;
  readonly sizes: Float64Array;
  readonly request: ShardRequest;
  readonly avoided: readonly number[];
  /** Per given entry: its tensor, its number in layout order; and the other way round. */
  readonly tensorOf: Uint32Array;
  readonly entryOf: Uint32Array;
  readonly stringCount: number;
  readonly stringBytes: number;
  readonly byteLength: number;
}

/**
 * Plans saves. Owned by one Checkpoint; keeps the index of the last structures, so that the next save of the same
 * structure costs a comparison and a copy of the index.
 */
export class BundlePlanner {
  #templates: PlanTemplate[] = [];

  /**
   * Lays out the entries, copies and sums strings, and hands back everything that a SaveProgram needs about tensors.
   *
   * @throws CheckpointError INVALID_ARGUMENT for duplicate or impossible keys, dtypes, shapes, sizes or options.
   */
  plan(entries: readonly BundleEntry[], options: PlanOptions): BundlePlan {
    return resultOf(this.planColumns(columnsOf(entries), options, ONE_TURN));
  }

  /** {@link plan} for very many tensors. The columns must not be changed any more, sources may be. */
  *planColumns(columns: BundleColumns, options: PlanOptions, turns: Turns): Steps<BundlePlan> {
    checkOptions(options);
    const sizes = yield* sourceSizes(columns, turns);
    const template = yield* this.#templateFor(columns, sizes, options, turns);
    return yield* fillPlan(template, columns.sources, options.prefix, turns);
  }

  *#templateFor(columns: BundleColumns, sizes: Float64Array, options: PlanOptions, turns: Turns): Steps<PlanTemplate> {
    const avoided = [...(options.avoidShardCounts ?? [])].sort((a, b) => a - b);
    let template: PlanTemplate | undefined;
    for (const kept of this.#templates) {
      const fits = answers(kept, options, avoided) && (yield* matches(kept, columns, sizes, turns));
      if (fits) template = kept;
      if (fits) break;
    }
    template ??= yield* build(columns, sizes, options, avoided, turns);
    this.#templates = [template, ...this.#templates.filter((kept) => kept !== template)].slice(0, KEPT_TEMPLATES);
    return template;
  }
}

/** Plans one save without keeping anything for the next. */
export function planBundle(entries: readonly BundleEntry[], options: PlanOptions): BundlePlan {
  return new BundlePlanner().plan(entries, options);
}

function answers({ request, avoided }: PlanTemplate, options: PlanOptions, avoid: readonly number[]): boolean {
  return (
    request.shards === options.shards && request.maxShardBytes === options.maxShardBytes && sameShape(avoided, avoid)
  );
}

/** Whether a template fits. This runs over every entry at every save: plain loops, no allocation. */
function* matches(template: PlanTemplate, columns: BundleColumns, sizes: Float64Array, turns: Turns): Steps<boolean> {
  const { keys, dtypes, shapes, sources } = columns;
  if (template.keys.length !== keys.length) return false;
  const sameKeys = template.keys === keys;
  let same = true;
  yield* inTurns(turns, keys.length, (first, end) => {
    for (let i = first; same && i < end; i++) {
      const shape = shapes[i]!;
      const kept = template.shapes[i]!;
      same =
        (sameKeys || template.keys[i] === keys[i]) &&
        template.dtypes[i] === dtypes[i] &&
        template.sizes[i] === sizes[i] &&
        (kept === shape || sameShape(kept, shape)) &&
        (dtypes[i] === 'string') === (sources[i]!.kind === 'strings');
    }
  });
  return same;
}

function* build(
  columns: BundleColumns,
  sizes: Float64Array,
  options: PlanOptions,
  avoided: readonly number[],
  turns: Turns,
): Steps<PlanTemplate> {
  const { keys, dtypes, shapes } = columns;
  const count = keys.length;
  yield* checkEntries(columns, turns);
  const order = yield* sortedByBytes(keys, turns);
  const sorted = {
    keys: new Array<string>(count),
    dtypes: new Array<DType>(count),
    shapes: new Array<readonly number[]>(count),
    sizes: new Float64Array(count),
  };
  yield* inTurns(turns, count, (first, end) => {
    for (let i = first; i < end; i++) {
      const entry = order[i]!;
      const key = keys[entry]!;
      if (i > 0 && key === sorted.keys[i - 1]) throw invalidArgument(`Two tensors have the key '${key}'.`, { key });
      sorted.keys[i] = key;
      sorted.dtypes[i] = dtypes[entry]!;
      sorted.shapes[i] = shapes[entry]!;
      sorted.sizes[i] = sizes[entry]!;
    }
  });
  const request = { shards: options.shards, maxShardBytes: options.maxShardBytes };
  const avoidShardCounts = options.avoidShardCounts;
  const template = yield* buildIndexTemplate(sorted, { ...request, avoidShardCounts }, turns);

  const tensorOf = new Uint32Array(count);
  const entryOf = new Uint32Array(count);
  // Copied where the caller may change it: a shape that is frozen stays the same, so the same array is the same shape.
  const keptShapes = new Array<readonly number[]>(count);
  let stringCount = 0;
  let stringBytes = 0;
  let byteLength = 0;
  yield* inTurns(turns, count, (first, end) => {
    for (let i = first; i < end; i++) {
      const entry = order[template.layout.order[i]!]!;
      tensorOf[entry] = i;
      entryOf[i] = entry;
      const shape = shapes[i]!;
      keptShapes[i] = Object.isFrozen(shape) ? shape : [...shape];
      byteLength += sizes[i]!;
      if (dtypes[i] !== 'string') continue;
      stringCount++;
      stringBytes += sizes[i]!;
    }
  });
  return {
    ...template,
    keys,
    dtypes,
    shapes: keptShapes,
    sizes,
    request,
    avoided,
    tensorOf,
    entryOf,
    stringCount,
    stringBytes,
    byteLength,
  };
}
