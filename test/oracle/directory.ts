import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { byBytes } from './recording.ts';
import type { PlainStep } from './steps.ts';

/** The steps that a program other than the manager's does to the files. */
export function changeFiles(root: string, step: PlainStep): void {
  switch (step.op) {
    case 'file': {
      const file = path.join(root, step.path);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(
        file,
        step.base64 === undefined ? (step.text ?? '').replaceAll('{dir}', root) : Buffer.from(step.base64, 'base64'),
      );
      break;
    }
    case 'delete':
      for (const name of step.paths) rmSync(path.join(root, name), { recursive: true });
      break;
    case 'directory':
      mkdirSync(path.join(root, step.path), { recursive: true });
      break;
    case 'touch':
      utimesSync(path.join(root, step.path), step.time / 1000, step.time / 1000);
      break;
    case 'damage': {
      const file = path.join(root, step.path);
      const bytes = readFileSync(file);
      bytes[bytes.length >> 1]! ^= 1;
      chmodSync(file, statSync(file).mode | 0o200);
      writeFileSync(file, bytes);
      break;
    }
    default:
      throw new Error(`unknown step ${step.op}`);
  }
}

/** All files and directories below `root`, and the text (as Latin-1) of the state files among them. */
export function walk(root: string): { files: string[]; states: Record<string, string> } {
  const files: string[] = [];
  const states: Record<string, string> = {};
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const full = path.join(entry.parentPath, entry.name);
    const relative = path.relative(root, full);
    files.push(entry.isDirectory() ? `${relative}/` : relative);
    if (entry.isFile() && entry.name === 'checkpoint') states[relative] = readFileSync(full, 'latin1');
  }
  return { files: files.sort(byBytes), states };
}
