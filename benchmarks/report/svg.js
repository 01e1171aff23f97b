// @ts-check
// Charts as plain SVG: no script, no font of its own, readable on a light and on a dark page.

const WIDTH = 720;
const palette = ['#2f6fb3', '#d9822b', '#3d9a50', '#a34fa3', '#b8433c', '#5f7480', '#8a7a1f'];

/** @param {string} text */
export function escapeXml(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** @param {number} value */
const px = (value) => String(Math.round(value * 10) / 10);

/** @param {number} x @param {number} y @param {string} text @param {string} [attributes] */
function label(x, y, text, attributes = '') {
  return `<text x="${px(x)}" y="${px(y)}" ${attributes}>${escapeXml(text)}</text>`;
}

/** @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {string} attributes */
function line(x1, y1, x2, y2, attributes) {
  return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" ${attributes}/>`;
}

/** @param {string} title @param {string} caption @param {number} height @param {readonly string[]} body */
function document(title, caption, height, body) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="12">
<title>${escapeXml(title)}</title>
<style>text{fill:#333}.muted{fill:#767676}.grid{stroke:#8884}@media (prefers-color-scheme:dark){text{fill:#ddd}.muted{fill:#999}}</style>
${label(12, 22, title, 'font-size="15" font-weight="600"')}
${body.join('\n')}
${label(12, height - 10, caption, 'class="muted" font-size="11"')}
</svg>
`;
}

/** Round steps that cover 0 … max. @param {number} max */
export function ticks(max) {
  if (!(max > 0)) return [0, 1];
  const rough = max / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = /** @type {number} */ ([1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * (1 - 1e-9)));
  return Array.from({ length: Math.ceil(max / step - 1e-9) + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

/**
 * Horizontal bars with their intervals, against lines that mark limits.
 * @param {{ title: string, caption: string, unit: string, limits?: ReadonlyArray<{ label: string, value: number }>,
 *   bars: ReadonlyArray<{ label: string, value: number, low?: number, high?: number, emphasis?: boolean }> }} chart
 */
export function barChart({ title, caption, unit, limits = [], bars }) {
  if (bars.length === 0) throw new RangeError('A bar chart needs a bar.');
  const left = 190;
  const right = WIDTH - 70;
  const rowHeight = 30;
  const top = 42 + 15 * Math.max(1, limits.length);
  const bottom = top + bars.length * rowHeight;
  const marks = ticks(
    Math.max(...limits.map(({ value }) => value), ...bars.map(({ value, high }) => Math.max(value, high ?? 0))),
  );
  const max = /** @type {number} */ (marks.at(-1));
  const x = (/** @type {number} */ value) => left + (value / max) * (right - left);
  const body = marks.flatMap((mark) => [
    line(x(mark), top - 4, x(mark), bottom, 'class="grid"'),
    label(x(mark), bottom + 16, String(mark), 'text-anchor="middle" class="muted"'),
  ]);
  body.push(label(right, bottom + 32, unit, 'text-anchor="end" class="muted"'));
  bars.forEach(({ label: name, value, low, high, emphasis }, index) => {
    const y = top + index * rowHeight;
    const fill = emphasis ? palette[0] : '#9aa9b5';
    body.push(
      `<rect x="${left}" y="${y + 4}" width="${px(Math.max(1, x(value) - left))}" height="${rowHeight - 10}" rx="2" fill="${fill}"/>`,
      label(left - 8, y + 18, name, `text-anchor="end"${emphasis ? ' font-weight="600"' : ''}`),
      label(x(Math.max(value, high ?? 0)) + 6, y + 18, value.toPrecision(3)),
    );
    if (low !== undefined && high !== undefined && high > low) {
      const middle = y + rowHeight / 2 - 1;
      body.push(line(x(low), middle, x(high), middle, 'stroke="#222" stroke-width="1.5" class="interval"'));
    }
  });
  limits.forEach(({ label: name, value }, index) => {
    // The first is the one to reach; each has a row of its own for its label, which ends before the chart does.
    const y = top - 10 - 15 * (limits.length - 1 - index);
    const color = index === 0 ? '#b8433c' : '#8a8a8a';
    const anchor = x(value) > right - 110 ? 'end' : 'middle';
    body.push(
      line(
        x(value),
        y + 4,
        x(value),
        bottom,
        `stroke="${color}" stroke-width="1.5" stroke-dasharray="5 3" class="limit"`,
      ),
      label(x(value), y, `${name} ${value.toPrecision(3)}`, `text-anchor="${anchor}"`),
    );
  });
  return document(title, caption, bottom + 62, body);
}

/**
 * Lines over a logarithmic x axis; the y axis starts at 0, or is logarithmic too.
 * @param {{ title: string, caption: string, xLabel: string, yLabel: string, logY?: boolean, formatX?: (x: number) => string,
 *   series: ReadonlyArray<{ label: string, dashed?: boolean, points: ReadonlyArray<{ x: number, y: number }> }> }} chart
 */
export function lineChart({ title, caption, xLabel, yLabel, logY = false, formatX = String, series }) {
  const points = series.flatMap((one) => one.points);
  if (points.length === 0) throw new RangeError('A line chart needs a point.');
  if (points.some(({ x, y }) => !(x > 0) || !(logY ? y > 0 : y >= 0))) {
    throw new RangeError('A logarithmic axis has no place for 0 or less.');
  }
  const [left, right, top, bottom] = [64, WIDTH - 24, 64, 300];
  const xs = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b);
  const [first, last] = [/** @type {number} */ (xs[0]), /** @type {number} */ (xs.at(-1))];
  const x = (/** @type {number} */ value) =>
    first === last ? (left + right) / 2 : left + (Math.log(value / first) / Math.log(last / first)) * (right - left);
  const highest = Math.max(...points.map((point) => point.y));
  const lowest = Math.min(...points.map((point) => point.y));
  const marks = logY ? decades(lowest, highest) : ticks(highest);
  const [floor, ceiling] = [/** @type {number} */ (marks[0]), /** @type {number} */ (marks.at(-1))];
  const y = (/** @type {number} */ value) =>
    bottom - (bottom - top) * (logY ? Math.log(value / floor) / Math.log(ceiling / floor) : value / ceiling);
  const body = [
    ...marks.flatMap((mark) => [
      line(left, y(mark), right, y(mark), 'class="grid"'),
      label(left - 8, y(mark) + 4, String(mark), 'text-anchor="end" class="muted"'),
    ]),
    ...xs.map((value) => label(x(value), bottom + 18, formatX(value), 'text-anchor="middle" class="muted"')),
    label(right, bottom + 36, xLabel, 'text-anchor="end" class="muted"'),
    label(12, top - 12, yLabel, 'class="muted"'),
  ];
  series.forEach(({ label: name, dashed, points: own }, index) => {
    const color = palette[index % palette.length];
    const path = own.map((point, at) => `${at ? 'L' : 'M'}${px(x(point.x))} ${px(y(point.y))}`).join('');
    body.push(
      `<path d="${path}" fill="none" stroke="${color}" stroke-width="2"${dashed ? ' stroke-dasharray="6 4"' : ''}/>`,
    );
    for (const point of own) body.push(`<circle cx="${px(x(point.x))}" cy="${px(y(point.y))}" r="3" fill="${color}"/>`);
    const legend = 110 + index * 150;
    body.push(
      line(legend, 40, legend + 22, 40, `stroke="${color}" stroke-width="3"${dashed ? ' stroke-dasharray="6 4"' : ''}`),
    );
    body.push(label(legend + 28, 44, name));
  });
  return document(title, caption, bottom + 66, body);
}

/** Powers of ten that hold both values. @param {number} low @param {number} high */
function decades(low, high) {
  const from = Math.floor(Math.log10(low) + 1e-9);
  const to = Math.max(from + 1, Math.ceil(Math.log10(high) - 1e-9));
  return Array.from({ length: to - from + 1 }, (_, index) => Number((10 ** (from + index)).toPrecision(12)));
}

/**
 * Counts per class as columns, on a logarithmic scale so that a single outlier is seen beside thousands.
 * @param {{ title: string, caption: string, xLabel: string, groups: ReadonlyArray<{ label: string, bins: ReadonlyArray<{ label: string, count: number }> }> }} chart
 */
export function histogramChart({ title, caption, xLabel, groups }) {
  const bins = groups[0]?.bins ?? [];
  const highest = Math.max(0, ...groups.flatMap((group) => group.bins.map((bin) => bin.count)));
  if (bins.length === 0 || highest === 0) throw new RangeError('A histogram needs a value.');
  const [left, right, top, bottom] = [64, WIDTH - 24, 64, 280];
  const top10 = Math.max(1, Math.ceil(Math.log10(highest)));
  const y = (/** @type {number} */ count) =>
    count === 0 ? bottom : bottom - 8 - ((bottom - top - 8) * Math.log10(count)) / top10;
  const slot = (right - left) / bins.length;
  const width = (slot * 0.8) / groups.length;
  const body = Array.from({ length: top10 + 1 }, (_, power) => 10 ** power).flatMap((mark) => [
    line(left, y(mark), right, y(mark), 'class="grid"'),
    label(left - 8, y(mark) + 4, String(mark), 'text-anchor="end" class="muted"'),
  ]);
  bins.forEach((bin, index) => {
    body.push(label(left + (index + 0.5) * slot, bottom + 18, bin.label, 'text-anchor="middle" class="muted"'));
  });
  groups.forEach((group, at) => {
    const color = palette[at % palette.length];
    group.bins.forEach((bin, index) => {
      if (bin.count === 0) return;
      const x = left + index * slot + slot * 0.1 + at * width;
      body.push(
        `<rect x="${px(x)}" y="${px(y(bin.count))}" width="${px(width)}" height="${px(bottom - y(bin.count))}" fill="${color}"/>`,
      );
    });
    const legend = 110 + at * 170;
    body.push(
      `<rect x="${legend}" y="34" width="14" height="10" fill="${color}"/>`,
      label(legend + 20, 44, group.label),
    );
  });
  body.push(
    label(right, bottom + 36, xLabel, 'text-anchor="end" class="muted"'),
    label(12, top - 12, 'count', 'class="muted"'),
  );
  return document(title, caption, bottom + 66, body);
}
