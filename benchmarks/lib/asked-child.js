// @ts-check
// A child process that is asked over IPC, one question at a time, and answers with figures or { error }. It says
// { ready: true } first, and ends at { op: 'end' }.

export class AskedChild {
  #child;
  #name;
  #stderr = '';
  /** The first answer, which tells that the child is ready. @type {Promise<any>} */
  #ready;

  /**
   * @param {import('./workspace.js').Workspace} workspace
   * @param {string} name what it is in the message of a failure
   * @param {string} command
   * @param {readonly string[]} args
   * @param {Record<string, string>} [env]
   */
  constructor(workspace, name, command, args, env) {
    this.#name = name;
    this.#child = workspace.start(command, args, { env, ipc: true });
    this.#child.stderr.setEncoding('utf8').on('data', (chunk) => {
      this.#stderr = (this.#stderr + chunk).slice(-20_000);
    });
    this.#child.stdout.resume();
    this.#ready = this.#answer();
    this.#ready.catch(() => {}); // Whoever asks is told.
  }

  /** @param {object} question @returns {Promise<any>} */
  async ask(question) {
    await this.#ready;
    const answer = this.#answer();
    this.#child.send(question);
    return answer;
  }

  /** Its memory is free when this resolves. */
  async end() {
    await this.#ready.catch(() => {});
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    if (child.connected) child.send({ op: 'end' });
    await ended;
  }

  /** @returns {Promise<any>} */
  #answer() {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const onMessage = (/** @type {any} */ message) => {
        child.off('close', onClose);
        child.off('error', onError);
        if (message.error) reject(new Error(message.error));
        else resolve(message);
      };
      const onError = (/** @type {Error} */ error) => reject(error);
      const onClose = (/** @type {number | null} */ status, /** @type {string | null} */ signal) => {
        child.off('message', onMessage);
        const reason = signal === 'SIGKILL' ? ' (out of memory?)' : '';
        const last = this.#stderr.trim().split('\n').slice(-6).join('\n');
        reject(new Error(`${this.#name} ended with ${signal ?? status}${reason}: ${last}`));
      };
      child.once('message', onMessage);
      child.once('close', onClose);
      child.once('error', onError);
    });
  }
}
