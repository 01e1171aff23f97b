import { describe, expect, it } from 'vitest';
import { limitingResource } from '../../benchmarks/lib/resource.js';
import { barChart, escapeXml, histogramChart, lineChart, ticks } from '../../benchmarks/report/svg.js';

/** Fails unless the text is one well-formed element tree; returns the elements as [name, attributes]. */
function elements(svg: string): Array<[string, Record<string, string>]> {
  const found: Array<[string, Record<string, string>]> = [];
  const open: string[] = [];
  const token = /<(\/?)([a-z]+)((?:\s+[A-Za-z0-9:-]+="[^"<&]*(?:&#\d+;[^"<&]*)*")*)\s*(\/?)>|([^<]+)/gy;
  let at = 0;
  for (let match = token.exec(svg); match; match = token.exec(svg)) {
    at = token.lastIndex;
    const [, closing, name, attributes, empty, text] = match;
    if (text !== undefined) {
      if (/&(?!#\d+;)/.test(text)) throw new Error(`bare & in ${text}`);
    } else if (closing) {
      if (open.pop() !== name) throw new Error(`</${name}> closes nothing`);
    } else {
      const pairs = [...(attributes ?? '').matchAll(/([A-Za-z0-9:-]+)="([^"]*)"/g)].map((m) => [m[1]!, m[2]!]);
      if (new Set(pairs.map(([key]) => key)).size !== pairs.length) throw new Error(`an attribute twice in <${name}>`);
      found.push([name!, Object.fromEntries(pairs)]);
      if (!empty) open.push(name!);
    }
  }
  if (at !== svg.length) throw new Error(`not XML from: ${svg.slice(at, at + 60)}`);
  if (open.length > 0) throw new Error(`never closed: ${open}`);
  return found;
}

const numbers = (all: Array<[string, Record<string, string>]>) =>
  all.flatMap(([, attributes]) =>
    ['x', 'y', 'x1', 'x2', 'y1', 'y2', 'cx', 'cy', 'width', 'height'].flatMap((key) =>
      attributes[key] === undefined ? [] : [Number(attributes[key])],
    ),
  );

describe('charts are well-formed SVG within their frame', () => {
  const charts = {
    bars: barChart({
      title: 'Save & <restore>',
      caption: 'a "caption"',
      unit: 'GB/s',
      limits: [
        { label: 'limit', value: 4 },
        { label: 'few buffers', value: 4.2 },
      ],
      bars: [
        { label: 'ours', value: 3.9, low: 3.7, high: 4.1, emphasis: true },
        { label: "peer's", value: 0.8 },
      ],
    }),
    lines: lineChart({
      title: 'Series',
      caption: '',
      xLabel: 'size',
      yLabel: 'GB/s',
      series: [
        {
          label: 'a',
          points: [
            { x: 1, y: 3 },
            { x: 16, y: 2.9 },
          ],
        },
        { label: 'b', dashed: true, points: [{ x: 1, y: 4 }] },
      ],
    }),
    logarithmic: lineChart({
      title: 'Counts',
      caption: '',
      xLabel: 'tensors',
      yLabel: 's',
      logY: true,
      series: [
        {
          label: 'a',
          points: [
            { x: 100, y: 0.01 },
            { x: 1e6, y: 3 },
          ],
        },
      ],
    }),
    histogram: histogramChart({
      title: 'Gaps',
      caption: '',
      xLabel: 'ms',
      groups: [
        {
          label: 'save',
          bins: [
            { label: '< 1', count: 12345 },
            { label: '< 2', count: 1 },
            { label: '2 …', count: 0 },
          ],
        },
      ],
    }),
  };

  it.each(Object.entries(charts))('%s', (_, svg) => {
    const all = elements(svg);
    expect(all[0]![0]).toBe('svg');
    const [width, height] = [Number(all[0]![1].width), Number(all[0]![1].height)];
    for (const value of numbers(all)) {
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThanOrEqual(Math.max(width, height));
    }
  });

  it('draw bars in proportion, the limit where it belongs, and the interval around the value', () => {
    const all = elements(charts.bars);
    const [ours, peer] = all.filter(([name]) => name === 'rect').map(([, a]) => Number(a.width));
    expect(ours! / peer!).toBeCloseTo(3.9 / 0.8, 1);
    const limit = all.find(([, a]) => a.class === 'limit')![1];
    expect((Number(limit.x1) - 190) / ours!).toBeCloseTo(4 / 3.9, 2);
    expect(all.filter(([, a]) => a.class === 'interval')).toHaveLength(1);
  });

  it('a single point and equal values are no division by zero', () => {
    const svg = lineChart({
      title: '',
      caption: '',
      xLabel: '',
      yLabel: '',
      logY: true,
      series: [{ label: '', points: [{ x: 5, y: 1 }] }],
    });
    expect(svg).not.toMatch(/NaN|Infinity/);
    expect(barChart({ title: '', caption: '', unit: '', bars: [{ label: '', value: 0 }] })).not.toMatch(/NaN|Infinity/);
  });

  it('refuse nothing to draw, and what an axis can not show', () => {
    expect(() => barChart({ title: '', caption: '', unit: '', bars: [] })).toThrow(RangeError);
    const series = [{ label: '', points: [{ x: 0, y: 1 }] }];
    expect(() => lineChart({ title: '', caption: '', xLabel: '', yLabel: '', series })).toThrow(RangeError);
    expect(() => histogramChart({ title: '', caption: '', xLabel: '', groups: [] })).toThrow(RangeError);
  });
});

it('text can not break out of its element', () => {
  expect(escapeXml('<script>"&\'')).toBe('&#60;script&#62;&#34;&#38;&#39;');
});

it.each([0.7, 1, 3.94, 5, 55, 1234])('ticks up to %d are round, few and cover it', (max) => {
  const marks = ticks(max);
  expect(marks[0]).toBe(0);
  expect(marks.at(-1)).toBeGreaterThanOrEqual(max);
  expect(marks.at(-2)).toBeLessThan(max);
  expect(marks.length).toBeLessThanOrEqual(8);
});

describe('the limiting resource', () => {
  const base = { seconds: 1, cpuSeconds: 0.2, cores: 2, limit: 4e9 };
  it.each([
    ['disk', { ...base, rate: 3.9e9 }],
    ['cpu', { ...base, rate: 2e9, cpuSeconds: 1.9 }],
    ['flushes', { ...base, rate: 1e6, syncSeconds: 0.8 }],
    ['fresh memory', { ...base, rate: 0.5e9, firstTouchRate: 0.55e9 }],
    ['latency', { ...base, rate: 2e9 }],
  ] as const)('is %s', (resource, figures) => {
    expect(limitingResource(figures).resource).toBe(resource);
  });

  it('fresh memory that is faster than the disk is not to blame', () => {
    expect(limitingResource({ ...base, rate: 2e9, firstTouchRate: 9e9 }).resource).toBe('latency');
  });
});
