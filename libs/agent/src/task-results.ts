import type { AgentTaskResult } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import { BackgroundLoop } from '@atrest/platform-time';
import { ChannelError } from './channel-client.js';

export interface TaskResultsOptions {
  readonly send: (result: AgentTaskResult) => Promise<void>;
  readonly logger: Logger;
  /** What was not taken is sent again after this. */
  readonly retryMs: number;
}

/** Results that are kept in case their task comes again; far more than can be on the way at a time. */
const REMEMBERED = 1_000;

/** Results of tasks, kept until they are delivered, and a while longer: a task may come again as long as its result has not arrived, and is done once. */
export class TaskResults {
  readonly #options: TaskResultsOptions;
  readonly #results = new Map<string, { readonly result: AgentTaskResult; sent: boolean }>();
  readonly #loop: BackgroundLoop;

  constructor(options: TaskResultsOptions) {
    this.#options = options;
    this.#loop = new BackgroundLoop({
      name: 'results of tasks',
      intervalMs: options.retryMs,
      run: () => this.#send(),
      onError: (error) => options.logger.debug({ err: error }, 'the result of a task did not arrive; it is sent again'),
    });
  }

  start(): void {
    this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** Whether the task is done; then its result is sent again. */
  repeat(taskId: string): boolean {
    const known = this.#results.get(taskId);
    if (known === undefined) return false;
    known.sent = false;
    this.#loop.wake();
    return true;
  }

  add(result: AgentTaskResult): void {
    this.#results.set(result.taskId, { result, sent: false });
    this.#loop.wake();
  }

  async #send(): Promise<void> {
    for (const entry of this.#results.values()) {
      if (entry.sent) continue;
      // Before it is sent: a task that comes again meanwhile wants its result once more.
      entry.sent = true;
      try {
        await this.#options.send(entry.result);
      } catch (error) {
        if (error instanceof ChannelError && error.code === 'CHANNEL.NOT_UNDERSTOOD') {
          // It would be refused again and again, and others wait behind it.
          this.#options.logger.error({ err: error, taskId: entry.result.taskId }, 'the result of a task was refused and is dropped');
          continue;
        }
        entry.sent = false;
        throw error;
      }
    }
    for (const [taskId, { sent }] of this.#results) {
      if (this.#results.size <= REMEMBERED) break;
      if (sent) this.#results.delete(taskId);
    }
  }
}
