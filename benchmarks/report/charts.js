// @ts-check
// The charts of a run, as SVG by name.

import { formatSize } from '../lib/units.js';
import { barChart, histogramChart, lineChart } from './svg.js';

/**
 * @param {{ results: Record<string, any>, machine: import('../lib/machine.js').MachineFacts, command: string }} all
 * @returns {Record<string, string>}
 */
export function chartsOf({ results, machine, command }) {
  const caption =
    `${machine.date.slice(0, 10)} · ${machine.cpu}, ${machine.cores} cores · ${machine.fileSystem.type} · ${command}`.slice(
      0,
      120,
    );
  /** @type {Record<string, string>} */
  const charts = {};
  for (const result of results.throughput ?? []) Object.assign(charts, throughputCharts(result, caption));
  if (results.series) Object.assign(charts, seriesCharts(results.series, caption));
  return charts;
}

/** @param {any} result @param {string} caption */
function throughputCharts({ layout, durable, limit, fewBuffers, save, resume, restore, peers }, caption) {
  const GB = (/** @type {{ median: number, low: number, high: number }} */ summary) => ({
    value: summary.median / 1e9,
    low: summary.low / 1e9,
    high: summary.high / 1e9,
  });
  const limits = (/** @type {'write' | 'read'} */ direction) => [
    { label: "the disk's limit", value: limit[direction].median / 1e9 },
    ...(fewBuffers ? [{ label: 'a few buffers over and over', value: fewBuffers[direction].median / 1e9 }] : []),
  ];
  const what = `${formatSize(layout.bytes)}, ${layout.name}`;
  return {
    [`save-${layout.name}`]: barChart({
      title: `${durable ? 'Durable save' : 'Save'}, ${what}`,
      caption,
      unit: 'GB/s',
      limits: limits('write'),
      bars: [
        { label: 'tensor-checkpoint', emphasis: true, ...GB(save.rate) },
        ...peers.map((/** @type {any} */ peer) => ({ label: peer.name, ...GB(peer.save) })),
      ],
    }),
    [`resume-${layout.name}`]: barChart({
      title: `${resume.cold ? 'Cold' : 'Warm'} load in a new process, ${what}`,
      caption,
      unit: 'GB/s',
      limits: limits('read'),
      bars: [
        { label: 'tensor-checkpoint', emphasis: true, ...GB(resume.rate) },
        ...(restore ? [{ label: '… into old memory', emphasis: true, ...GB(restore.rate) }] : []),
        ...peers.map((/** @type {any} */ peer) => ({
          label: peer.loadsInto === 'existing' ? `${peer.name}, into old memory` : peer.name,
          ...GB(peer.load),
        })),
      ],
    }),
    [`stalls-${layout.name}`]: histogramChart({
      title: `How late a 1 ms timer is beside a save or a resume, ${what}`,
      caption,
      xLabel: 'ms late',
      groups: [
        { label: 'save', bins: binsOf(save.stalls) },
        { label: 'resume', bins: binsOf(resume.stalls) },
      ],
    }),
  };
}

/** @param {ReadonlyArray<{ below: number | null, count: number }>} bins */
function binsOf(bins) {
  return bins.map(({ below, count }, index) => {
    const edge = below !== null && Number.isFinite(below) ? `< ${below}` : `≥ ${bins[index - 1]?.below}`;
    return { label: edge, count };
  });
}

/** @param {any} series @param {string} caption */
function seriesCharts({ sizes, counts }, caption) {
  /** @type {Record<string, string>} */
  const charts = {};
  const points = (/** @type {(one: any) => number} */ y) =>
    sizes.map((/** @type {any} */ one) => ({ x: one.bytes, y: y(one) / 1e9 }));
  if (sizes.length > 0) {
    charts['series-sizes'] = lineChart({
      title: 'Throughput by size of the state',
      caption,
      xLabel: 'state',
      yLabel: 'GB/s',
      formatX: formatSize,
      series: [
        { label: 'durable save', points: points((one) => one.save.rate.median) },
        { label: 'limit, write', dashed: true, points: points((one) => one.limit.write.median) },
        { label: 'cold resume', points: points((one) => one.resume.rate.median) },
        { label: 'limit, read', dashed: true, points: points((one) => one.limit.read.median) },
      ],
    });
  }
  if (counts.length > 0) {
    const of = (/** @type {(one: any) => number} */ y) =>
      counts.map((/** @type {any} */ one) => ({ x: one.tensors, y: y(one) }));
    charts['series-counts'] = lineChart({
      title: 'Seconds by number of tensors of 1 KiB',
      caption,
      xLabel: 'tensors',
      yLabel: 'seconds',
      logY: true,
      formatX: (count) => count.toLocaleString('en'),
      series: [
        { label: 'first save', points: of((one) => one.firstSave.seconds) },
        { label: 'next saves', points: of((one) => one.save.median) },
        { label: 'resume', points: of((one) => one.resume.median) },
      ],
    });
  }
  return charts;
}
