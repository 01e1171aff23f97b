import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { tensorNode } from '../../src/checkpoint/tensor-nodes.ts';
import { HostTensor, keptWith } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';

const directory = testDirectories();

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

it('two values of one object under the same attribute are told by their key', async () => {
  const owner = {};
  const source = { kind: 'memory' as const, bytes: new Uint8Array(1) };
  const destination = { kind: 'memory' as const, bytes: source.bytes };
  const value = { attribute: 'a', dtype: 'uint8' as const, shape: [1], capture: () => ({ source }), destination };
  const node = { identity: owner, description: 'owner', values: () => [value, value] };
  const adapter = { name: 'test', adapt: (given: unknown) => (given === owner ? node : undefined) };
  const checkpoint = new Checkpoint({ owner }, { adapters: [adapter] });
  await expect(checkpoint.write(join(directory(), 'x'))).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    key: 'owner/.ATTRIBUTES/a',
  });
});
