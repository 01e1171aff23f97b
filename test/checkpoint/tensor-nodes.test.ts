import { expect, it } from 'vitest';
import { tensorNode } from '../../src/checkpoint/tensor-nodes.ts';
import { HostTensor, keptWith } from '../../src/tensor/host-tensor.ts';

const never = (): never => {
  throw new Error('it is there already');
};

it('the node of a tensor is made with it, but for strings', () => {
  const tensor = new HostTensor({ dtype: 'float32', shape: [2], data: new Float32Array(2) });
  const node = keptWith<ReturnType<typeof tensorNode>>(tensor, never);
  expect(node.identity).toBe(tensor);
  expect(node.value).toMatchObject({ dtype: 'float32', shape: [2] });
  const text = new HostTensor({ dtype: 'string', shape: [], data: ['a'] });
  expect(() => keptWith(text, never)).toThrow(/already/);
  expect(keptWith(text, tensorNode)).toBe(keptWith(text, never));
});
