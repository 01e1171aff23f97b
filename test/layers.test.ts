import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What each folder may include or import, besides itself. docs/architecture.md draws the same picture. */
const typescriptLayers: Record<string, readonly string[]> = {
  errors: [],
  steps: [],
  native: ['errors', 'steps'],
  tensor: ['errors', 'steps', 'native'],
  bundle: ['errors', 'steps', 'native', 'tensor'],
  checkpoint: ['errors', 'steps', 'native', 'tensor', 'bundle'],
  manager: ['errors', 'steps', 'native', 'tensor', 'bundle', 'checkpoint'],
  tfjs: ['errors', 'steps', 'native', 'tensor', 'bundle', 'checkpoint', 'manager'],
  cuda: ['errors', 'steps', 'native', 'tensor', 'bundle', 'checkpoint', 'manager'],
  index: ['errors', 'steps', 'native', 'tensor', 'bundle', 'checkpoint', 'manager'],
};

const nativeLayers: Record<string, readonly string[]> = {
  base: [],
  checksum: ['base'],
  io: ['base'],
  device: ['base'],
  pipeline: ['base', 'checksum', 'io', 'device'],
  tensorflow: ['base'],
  format: ['base', 'checksum'],
  binding: ['base', 'checksum', 'io', 'device', 'pipeline', 'tensorflow', 'format'],
};

function files(directory: string, ending: RegExp): string[] {
  return readdirSync(path.join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name))
    .map((name) => path.join(directory, name));
}

/** The layer a file belongs to: the first folder below src/ or native/, or the file's own name at the top. */
function layerOf(file: string): string {
  const [, first] = file.split(path.sep);
  return path.parse(first!).name;
}

function violations(sources: string[], layers: Record<string, readonly string[]>, imports: (file: string) => string[]) {
  return sources.flatMap((file) => {
    const layer = layerOf(file);
    const allowed = layers[layer];
    if (!allowed) return [`${file}: unknown layer ${layer}`];
    return imports(file)
      .map((target) => ({ target, layer: layerOf(target) }))
      .filter((target) => target.layer !== layer && !allowed.includes(target.layer))
      .map(({ target }) => `${file} imports ${target}`);
  });
}

function read(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

function typescriptImports(file: string): string[] {
  return [...read(file).matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) =>
    path.join(path.dirname(file), match[1]!),
  );
}

function nativeIncludes(file: string): string[] {
  return [...read(file).matchAll(/^\s*#include "([^"]+)"/gm)]
    .map((match) => match[1]!)
    .filter((name) => name.includes('/'))
    .map((name) => (name.startsWith('native/') ? name : path.join('native', name)));
}

describe('layers', () => {
  test('no TypeScript file imports from a layer above its own', () => {
    const sources = files('src', /\.ts$/);
    expect(sources.length).toBeGreaterThan(20);
    expect(violations(sources, typescriptLayers, typescriptImports)).toEqual([]);
  });

  test('no C++ file includes from a layer above its own', () => {
    const sources = files('native', /\.(h|cc)$/);
    expect(sources.length).toBeGreaterThan(10);
    expect(violations(sources, nativeLayers, nativeIncludes)).toEqual([]);
  });

  test('only the binding includes the Node-API headers', () => {
    const offenders = files('native', /\.(h|cc)$/).filter(
      (file) => layerOf(file) !== 'binding' && /#include [<"](napi|node_api|js_native_api)/.test(read(file)),
    );
    expect(offenders).toEqual([]);
  });

  test('node:fs is used only where the constructor reads the state file', () => {
    const users = files('src', /\.ts$/).filter((file) => /from '(node:)?fs/.test(read(file)));
    expect(users.every((file) => file.startsWith(path.join('src', 'manager')))).toBe(true);
    expect(users.length).toBeLessThanOrEqual(1);
  });

  test('a layer breach is found', () => {
    const breach = () => ['src/manager/manager.ts'];
    expect(violations(['src/bundle/x.ts'], typescriptLayers, breach)).toEqual([
      'src/bundle/x.ts imports src/manager/manager.ts',
    ]);
  });
});
