// Installs the reference implementation that the tests compare with: TensorFlow in .venv-oracle (git-ignored).
// Idempotent: does nothing where the right version is already there. Tests that need it skip without it.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const version = '2.21.0';
const environment = fileURLToPath(new URL('../.venv-oracle', import.meta.url));
const python = `${environment}/bin/python`;

function installedVersion() {
  if (!existsSync(python)) return null;
  const probe = 'from importlib.metadata import version; print(version("tensorflow-cpu"))';
  const { status, stdout } = spawnSync(python, ['-c', probe], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

if (installedVersion() === version) {
  console.log(`oracle: TensorFlow ${version} is in .venv-oracle`);
} else {
  const host = process.env.PYTHON ?? 'python3';
  console.log(`oracle: installing TensorFlow ${version} into .venv-oracle (1.6 GB)`);
  try {
    if (!existsSync(python)) execFileSync(host, ['-m', 'venv', environment], { stdio: 'inherit' });
    execFileSync(python, ['-m', 'pip', 'install', '--quiet', '--retries', '0', `tensorflow-cpu==${version}`], {
      stdio: 'inherit',
    });
  } catch (error) {
    console.error(`oracle: ${error.message}`);
    console.error(`oracle: needs Python 3.10-3.13 with venv (PYTHON=<path> chooses one) and a package index`);
    process.exit(1);
  }
}
