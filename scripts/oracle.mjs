// Installs what the tests and the benchmark compare with, into git-ignored environments: TensorFlow, the reference
// implementation, in .venv-oracle; with --peers also torch, safetensors and orbax, which only the benchmark uses, in
// .venv-peers. Idempotent: does nothing where the right versions are already there. Who needs it skips without it.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { peers: { type: 'boolean', default: false } } });

provide('.venv-oracle', { 'tensorflow-cpu': '2.21.0' }, '1.6 GB');
// Apart from the oracle, so that nothing that they bring along can change what the tests compare with.
if (values.peers) {
  const packages = { torch: '2.13.0', safetensors: '0.8.0', 'orbax-checkpoint': '0.12.4', numpy: null };
  provide('.venv-peers', packages, '2 GB and more');
}

/** `packages`: version by name, null for any. */
function provide(name, packages, size) {
  const environment = fileURLToPath(new URL(`../${name}`, import.meta.url));
  const python = `${environment}/bin/python`;
  const wanted = Object.entries(packages).map(([one, version]) => (version ? `${one}==${version}` : one));
  if (isInstalled(python, packages)) {
    console.log(`oracle: ${wanted.join(', ')} in ${name}`);
    return;
  }
  const host = process.env.PYTHON ?? 'python3';
  console.log(`oracle: installing ${wanted.join(', ')} into ${name} (${size})`);
  try {
    if (!existsSync(python)) execFileSync(host, ['-m', 'venv', environment], { stdio: 'inherit' });
    const options = ['--quiet', '--retries', '0', '--disable-pip-version-check'];
    execFileSync(python, ['-m', 'pip', 'install', ...options, ...wanted], { stdio: 'inherit' });
  } catch (error) {
    console.error(`oracle: ${error.message}`);
    console.error(`oracle: needs Python 3.10-3.13 with venv (PYTHON=<path> chooses one) and a package index`);
    process.exit(1);
  }
}

function isInstalled(python, packages) {
  if (!existsSync(python)) return false;
  // A local version such as 2.13.0+cpu is the release 2.13.0.
  const probe =
    'import json, sys; from importlib.metadata import version; ' +
    'print(json.dumps({name: version(name).split("+")[0] for name in sys.argv[1:]}))';
  const { status, stdout } = spawnSync(python, ['-c', probe, ...Object.keys(packages)], { encoding: 'utf8' });
  if (status !== 0) return false;
  const found = JSON.parse(stdout);
  return Object.entries(packages).every(([name, version]) => version === null || found[name] === version);
}
