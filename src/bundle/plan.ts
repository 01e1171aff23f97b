import { float64Column, uint32Column } from '../native/columns.ts';
import type { SaveExtents } from '../native/contract.ts';
import { inTurns, ONE_TURN, resultOf, type Steps, type Turns } from '../steps.ts';
import type { DType } from '../tensor/dtypes.ts';
import { sameShape } from '../tensor/shape.ts';
import { fillPlan } from './fill-plan.ts';
import { buildIndexTemplate, type IndexTemplate } from './index-template.ts';
import type { KeyColumn } from './key-column.ts';
import type { ShardRequest } from './layout.ts';
import { checkEntries, checkOptions, columnsOf, stringCountProblem, unfit } from './plan-input.ts';
import type { BundleColumns, BundleEntry, BundlePlan, PlanOptions } from './types.ts';

/** Rows that are compared before the event loop may turn: that takes no more than a look at each. */
const PIECE = 1024;

/** Replacing one prefix over and over alternates between two shard counts, so two templates are kept. */
const KEPT_TEMPLATES = 2;

/** An index template, the structure that it is for in the order in which entries were given, and what follows from it. */
export interface PlanTemplate extends IndexTemplate {
  readonly keys: KeyColumn;
  readonly dtypes: readonly DType[];
  readonly shapes: ReadonlyArray<readonly number[]>;
  readonly sizes: Float64Array;
  readonly request: ShardRequest;
  readonly avoided: readonly number[];
  /** Per given entry: its tensor, its number in layout order; and the other way round. */
  readonly tensorOf: Uint32Array;
  readonly entryOf: Uint32Array;
  /** Columns of the extents that are the same at every save, in layout order. */
  readonly extents: Pick<SaveExtents, 'bytes' | 'file' | 'fileOffset' | 'tensor'>;
  /** Which checksums are native's to patch: all but those of strings, which aren't of the stored bytes. */
  readonly patches: BundlePlan['index']['patches'];
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
    const template = yield* this.#templateFor(columns, options, turns);
    return yield* fillPlan(template, columns.sources, options.prefix, turns);
  }

  *#templateFor(columns: BundleColumns, options: PlanOptions, turns: Turns): Steps<PlanTemplate> {
    const avoided = [...(options.avoidShardCounts ?? [])].sort((a, b) => a - b);
    let template: PlanTemplate | undefined;
    for (const kept of this.#templates) {
      const fits = answers(kept, options, avoided) && (yield* matches(kept, columns, turns));
      if (fits) template = kept;
      if (fits) break;
    }
    template ??= yield* build(columns, options, avoided, turns);
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
function* matches(template: PlanTemplate, columns: BundleColumns, turns: Turns): Steps<boolean> {
  const { keys, dtypes, shapes, sources } = columns;
  const { byteLength } = sources;
  if (!template.keys.equals(keys)) return false;
  let same = true;
  yield* inTurns(
    turns,
    keys.length,
    (first, end) => {
      for (let i = first; same && i < end; i++) {
        const shape = shapes[i]!;
        const kept = template.shapes[i]!;
        same =
          template.dtypes[i] === dtypes[i] &&
          template.sizes[i] === byteLength[i] &&
          (kept === shape || sameShape(kept, shape));
      }
    },
    PIECE,
  );
  return same && (yield* stringsMatch(template, columns, turns));
}

/** Whether strings, and nothing else, come as strings, and as many as their shapes say. */
function* stringsMatch(template: PlanTemplate, { keys, shapes, sources }: BundleColumns, turns: Turns): Steps<boolean> {
  let strings = 0;
  let same = true;
  const rows = Array.from(sources.others);
  yield* inTurns(turns, rows.length, (first, end) => {
    for (let i = first; same && i < end; i++) {
      const [row, source] = rows[i]!;
      if (source.kind !== 'stored') continue;
      strings++;
      same = template.dtypes[row] === 'string';
      const problem = same ? stringCountProblem(shapes[row]!, source.count) : undefined;
      if (problem !== undefined) throw unfit(keys.at(row), problem);
    }
  });
  return same && strings === keys.length - template.patches.tensor.length;
}

function* build(
  columns: BundleColumns,
  options: PlanOptions,
  avoided: readonly number[],
  turns: Turns,
): Steps<PlanTemplate> {
  const { keys, dtypes, shapes } = columns;
  const sizes = columns.sources.byteLength;
  const count = keys.length;
  yield* checkEntries(columns, turns);
  const order = yield* keys.sorted(turns);
  let strings = 0;
  yield* inTurns(turns, count, (first, end) => {
    for (let entry = first; entry < end; entry++) if (dtypes[entry] === 'string') strings++;
  });
  const request = { shards: options.shards, maxShardBytes: options.maxShardBytes };
  const avoidShardCounts = options.avoidShardCounts;
  const template = yield* buildIndexTemplate(
    { keys, dtypes, shapes, sizes, order },
    { ...request, avoidShardCounts },
    turns,
  );

  const { layout, checksumAt } = template;
  const tensorOf = uint32Column(count);
  const entryOf = uint32Column(count);
  // Copied where the caller may change it: a shape that is frozen stays the same, so the same array is the same shape.
  const keptShapes = new Array<readonly number[]>(count);
  const keptSizes = float64Column(count);
  const extents = {
    bytes: float64Column(count),
    file: layout.shard,
    fileOffset: layout.offset,
    tensor: uint32Column(count),
  };
  const patches = { position: float64Column(count - strings), tensor: uint32Column(count - strings) };
  let patch = 0;
  let byteLength = 0;
  yield* inTurns(turns, count, (first, end) => {
    for (let i = first; i < end; i++) {
      const entry = order[layout.order[i]!]!;
      tensorOf[entry] = i;
      entryOf[i] = entry;
      const shape = shapes[i]!;
      keptShapes[i] = Object.isFrozen(shape) ? shape : [...shape];
      extents.tensor[i] = i;
      extents.bytes[i] = sizes[entry]!;
      keptSizes[i] = sizes[i]!;
      byteLength += sizes[i]!;
      if (dtypes[entry] === 'string') continue;
      patches.position[patch] = checksumAt[i]!;
      patches.tensor[patch++] = i;
    }
  });
  return {
    ...template,
    keys,
    dtypes,
    shapes: keptShapes,
    sizes: keptSizes,
    request,
    avoided,
    tensorOf,
    entryOf,
    extents,
    patches,
    byteLength,
  };
}
