// @ts-check
// The command line of the benchmark, checked once.
import { parseArgs } from 'node:util';
import { layoutNames } from './lib/layouts.js';
import { parseCount, parseDuration, parseSize, UsageError } from './lib/units.js';
import { peerNames } from './peers/peers.js';

/** Every experiment, and the minutes that it may take. */
export const experimentMinutes = { throughput: 11, layouts: 4, series: 3, small: 1, tax: 2, cache: 2, terabyte: 3 };
export const experimentNames = /** @type {Array<keyof typeof experimentMinutes>} */ (Object.keys(experimentMinutes));
/** Fewer rounds say nothing, whatever the time. */
export const LEAST_ROUNDS = 3;

export const usage = `Usage: npm run bench -- DIRECTORY [EXPERIMENT …] [options]

Measures saving and restoring on the disk of DIRECTORY, against what that disk can do and against other libraries.

Experiments (default: throughput; "all" runs every one)
  throughput  durable save and cold, verified resume against the disk's limit and the peers
  layouts     the same with one tensor, with many small ones, with odd sizes, with those of a large model; no peers
  series      the same from small to large states, and from few to many tensors
  small       a 1 MiB checkpoint against the disk's own flushes
  tax         what back-to-back saves take from a training loop that keeps all cores busy
  cache       whether a job's data stay in the page cache beside saves and restores
  terabyte    1 TB in a million tensors, as sparse files: event loop and memory

What is saved
  --size SIZE          state to save (default 4GiB)
  --layout NAME,…      ${layoutNames.join(', ')} (default standard)
  --tensors N          tensors of the layout small (default 100000) and of terabyte (default 1000000)
  --memory KIND        own: HostTensor.allocate; heap: JavaScript's arrays; odd: unaligned (default own)
  --state KIND         host or tfjs (default host)
How
  --shards N  --threads N  --staging SIZE  --snapshot borrow|copy     as in WriteOptions
  --no-durable         without fsync, for everybody
  --env NAME=VALUE     for our processes only, such as an engine's switch; may be repeated
Against what
  --limit all|fio|raw  how the disk's limit is found (default all)
  --search SIZE        moved by each try of the search (default: the state's size, at most 512MiB)
  --search-again       forget the best settings of an earlier run, of the disk and of the peers
  --peers NAME,…|none  ${peerNames.join(', ')} (default: all that a Python environment here has)
  --python PATH        that environment's python (default: .venv-peers, .venv-oracle, python3)
  --minutes N          time for each experiment: fewer rounds where they would take longer, but ${LEAST_ROUNDS} of each
                       (default ${Object.entries(experimentMinutes)
                         .map(([name, minutes]) => `${name} ${minutes}`)
                         .join(', ')})
  --rounds N           the most of them; each measures everybody in turns (default 7)
  --peer-rounds N      of these, rounds in which the peers take part (default: all, as the time allows)
  --sizes SIZE,…  --counts N,…     of series (default 1GiB,4GiB,16GiB and 100,1000,10000,100000,1000000)
Then
  --mtbf TIME          mean time between failures, for the suggested interval (default 24h)
  --seconds N          length of each measured stretch of tax (default 10)
  --json FILE          all figures, "-" for standard output
  --charts DIRECTORY   SVG
  --report FILE        tables in Markdown; in a file with <!-- measured: EXPERIMENT --> … <!-- end --> between these lines
  --help
`;

/**
 * @param {readonly string[]} argv
 * @returns options, or null where help was asked for
 * @throws UsageError
 */
export function parseOptions(argv) {
  const text = /** @type {const} */ ({ type: 'string' });
  let parsed;
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        size: text,
        layout: text,
        tensors: text,
        memory: text,
        state: text,
        shards: text,
        threads: text,
        staging: text,
        snapshot: text,
        'no-durable': { type: 'boolean' },
        env: { type: 'string', multiple: true },
        limit: text,
        search: text,
        'search-again': { type: 'boolean' },
        minutes: text,
        peers: text,
        python: text,
        rounds: text,
        'peer-rounds': text,
        sizes: text,
        counts: text,
        mtbf: text,
        seconds: text,
        json: text,
        charts: text,
        report: text,
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (cause) {
    throw new UsageError(`${/** @type {Error} */ (cause).message}\n\n${usage}`);
  }
  const { values, positionals } = parsed;
  if (values.help) return null;
  const [directory, ...named] = positionals;
  if (!directory) throw new UsageError(`Name a directory on the disk to measure.\n\n${usage}`);
  const size = parseSize('--size', values.size ?? '4GiB');
  const rounds = parseCount('--rounds', values.rounds ?? '7', 1);
  const state = oneOf('--state', values.state ?? 'host', /** @type {const} */ (['host', 'tfjs']));
  const layoutList = list('--layout', values.layout ?? 'standard', layoutNames);
  if (state === 'tfjs' && layoutList.includes('llama8b'))
    throw new UsageError('TensorFlow.js has no bfloat16: --layout llama8b needs --state host.');
  const peers = values.peers ?? 'auto';
  return {
    directory,
    argv: argv.filter((one) => one !== directory),
    experiments: named.includes('all')
      ? [...experimentNames]
      : named.length > 0
        ? list('The experiment', named.join(','), experimentNames)
        : [/** @type {const} */ ('throughput')],
    size,
    layouts: layoutList,
    tensors: values.tensors ? parseCount('--tensors', values.tensors, 1, 10_000_000) : undefined,
    memory: oneOf('--memory', values.memory ?? 'own', /** @type {const} */ (['own', 'heap', 'odd'])),
    state,
    write: {
      ...(values.shards ? { shards: parseCount('--shards', values.shards, 1, 99_999) } : {}),
      ...(values.threads ? { threads: parseCount('--threads', values.threads, 1, 1024) } : {}),
      ...(values.staging ? { stagingBytes: parseSize('--staging', values.staging) } : {}),
      ...(values.snapshot ? { snapshot: oneOf('--snapshot', values.snapshot, ['borrow', 'copy']) } : {}),
      ...(values['no-durable'] ? { durable: false } : {}),
    },
    read: {
      ...(values.threads ? { threads: parseCount('--threads', values.threads, 1, 1024) } : {}),
      ...(values.staging ? { stagingBytes: parseSize('--staging', values.staging) } : {}),
    },
    durable: !values['no-durable'],
    env: Object.fromEntries((values.env ?? []).map(assignment)),
    limit: oneOf('--limit', values.limit ?? 'all', /** @type {const} */ (['all', 'fio', 'raw'])),
    search: values.search ? parseSize('--search', values.search) : Math.min(size, 2 ** 29),
    searchAgain: values['search-again'] ?? false,
    minutes: values.minutes ? parseCount('--minutes', values.minutes, 1, 10_000) : undefined,
    peers:
      peers === 'auto' || peers === 'none' ? /** @type {'auto' | 'none'} */ (peers) : list('--peers', peers, peerNames),
    python: values.python,
    rounds,
    peerRounds: Math.min(rounds, parseCount('--peer-rounds', values['peer-rounds'] ?? String(rounds), 1)),
    sizes: (values.sizes ?? '1GiB,4GiB,16GiB').split(',').map((one) => parseSize('--sizes', one)),
    counts: (values.counts ?? '100,1000,10000,100000,1000000')
      .split(',')
      .map((one) => parseCount('--counts', one, 1, 10_000_000)),
    mtbf: parseDuration('--mtbf', values.mtbf ?? '24h'),
    seconds: parseCount('--seconds', values.seconds ?? '10', 1, 3600),
    json: values.json,
    charts: values.charts,
    report: values.report,
  };
}

/** @typedef {NonNullable<ReturnType<typeof parseOptions>>} BenchOptions */

const elsewhere = ['--json', '--charts', '--report', '--python', '--search-again'];
const switches = ['--search-again', '--no-durable'];

/**
 * The command as somebody else would type it for the same figures: no place of this machine is in it.
 * @param {readonly string[]} argv without the directory
 * @param {string} [experiment] this one alone
 */
export function commandOf(argv, experiment) {
  const words = experiment && experiment !== 'throughput' ? [experiment] : [];
  for (let at = 0; at < argv.length; at++) {
    const word = /** @type {string} */ (argv[at]);
    const name = /** @type {string} */ (word.split('=')[0]);
    const whole = [word];
    if (!word.startsWith('--')) {
      if (!experiment) words.push(word);
      continue;
    }
    if (word === name && !switches.includes(name)) whole.push(...argv.slice(++at, at + 1));
    if (!elsewhere.includes(name)) words.push(...whole);
  }
  return `npm run bench -- DIR ${words.join(' ')}`.trim();
}

/** @template {string} T @param {string} option @param {string} value @param {readonly T[]} choices @returns {T} */
function oneOf(option, value, choices) {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new UsageError(`${option} takes ${choices.join(' or ')}, not "${value}".`);
  return found;
}

/** @template {string} T @param {string} option @param {string} value @param {readonly T[]} choices @returns {T[]} */
function list(option, value, choices) {
  return [...new Set(value.split(','))].map((one) => oneOf(option, one.trim(), choices));
}

/** @param {string} text @returns {[string, string]} */
function assignment(text) {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--env takes NAME=VALUE, not "${text}".`);
  return [text.slice(0, at), text.slice(at + 1)];
}
