import { expect, it } from 'vitest';
import { ObjectColumn } from '../../src/bundle/object-column.ts';

it('a column holds its objects in their order, over several pages', () => {
  for (const count of [0, 1, 2 ** 15 - 1, 2 ** 15, 2 ** 15 + 1, 100_000]) {
    const objects = Array.from({ length: count }, (_, number) => ({ number }));
    const column = new ObjectColumn<{ number: number }>();
    for (const object of objects) column.push(object);
    expect(column.length).toBe(count);
    expect([...column].every((object, at) => object === objects[at])).toBe(true);
    if (count > 0) expect(column.at(count - 1)).toBe(objects[count - 1]);
  }
});
