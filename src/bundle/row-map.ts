/** A read-only Map over rows of columns: its values are made when they are asked for. Keys are in the order of rows. */
export abstract class RowMap<V> implements ReadonlyMap<string, V> {
  abstract get size(): number;
  /** The row of a key, −1 if there is none. */
  abstract find(key: string): number;
  abstract keyAt(row: number): string;
  abstract valueAt(row: number): V;

  has(key: string): boolean {
    return this.find(key) >= 0;
  }

  get(key: string): V | undefined {
    const row = this.find(key);
    return row < 0 ? undefined : this.valueAt(row);
  }

  *keys(): MapIterator<string> {
    for (let row = 0; row < this.size; row++) yield this.keyAt(row);
  }

  *values(): MapIterator<V> {
    for (let row = 0; row < this.size; row++) yield this.valueAt(row);
  }

  *entries(): MapIterator<[string, V]> {
    for (let row = 0; row < this.size; row++) yield [this.keyAt(row), this.valueAt(row)];
  }

  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }

  forEach(visit: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this) visit(value, key, this);
  }
}
