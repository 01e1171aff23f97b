import { describe, expect, it } from 'vitest';
import { markdownTable } from '../../benchmarks/lib/markdown.js';
import { withSection } from '../../benchmarks/report/report.js';

describe('the report', () => {
  const place = (name: string, text: string) => `<!-- measured: ${name} -->\n\n${text}\n\n<!-- end -->`;

  it('replaces the section in its place, and nothing else', () => {
    const page = `# Page\n${place('tax', 'old')}\nbetween\n${place('small', 'kept')}\n`;
    expect(withSection(page, 'tax', 'new')).toBe(page.replace('old', 'new'));
  });

  it('adds a section that has no place', () => {
    expect(withSection('', 'tax', 'new')).toBe(`${place('tax', 'new')}\n`);
    expect(withSection('# Page\n', 'tax', 'new')).toBe(`# Page\n\n${place('tax', 'new')}\n`);
  });

  it('refuses a place without an end, instead of taking the rest of the page for it', () => {
    expect(() => withSection('<!-- measured: tax -->\nThe rest', 'tax', 'new')).toThrow(/no "<!-- end -->"/);
  });
});

it('tables line up, and short rows are filled', () => {
  expect(markdownTable(['a', ''], [['long cell', '1'], ['b']])).toBe(
    ['| a         |     |', '| --------- | --- |', '| long cell | 1   |', '| b         |     |'].join('\n'),
  );
});
