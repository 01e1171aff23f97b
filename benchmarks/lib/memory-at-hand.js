// @ts-check
// Free memory that the machine really has. A virtual machine may give free pages back to its host within seconds, and
// finding them again takes the host longer than any disk, whoever asks. What begins right after another process has used
// and freed as much memory as it needs, as the one that crashed did, is measured itself: saves and loads, ours and the
// peers' alike.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const user = fileURLToPath(new URL('../children/memory-user.js', import.meta.url));

/** Everybody has the state in memory, and some have the files in the page cache besides. */
const PER_STATE_BYTE = 2.25;

/** The command after which a state of so many bytes finds memory at hand. @param {number} stateBytes */
export function memoryUser(stateBytes) {
  return [process.execPath, user, String(Math.ceil(stateBytes * PER_STATE_BYTE))];
}

/** Runs that command. @param {number} stateBytes */
export function haveMemoryAtHand(stateBytes) {
  const [command = '', ...args] = memoryUser(stateBytes);
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`Using ${args[1]} bytes of memory failed: ${stderr}`);
}
