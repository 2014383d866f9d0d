import type { Logger } from '@atrest/platform-logging';
import { BackgroundLoop, type Clock } from '@atrest/platform-time';
import type { BackupTasks } from './backup-tasks.js';

/** What is looked for lasts half an hour at least; half a minute more does not matter to it. */
const INTERVAL_MS = 30_000;

/** Ends tasks of which nothing is heard any more, and forgets those that ended long ago. Any number of replicas share the work. */
export class BackupTaskWatchdog {
  private readonly loop: BackgroundLoop;
  private readonly listeningSince: Date;

  constructor(private readonly parts: { readonly tasks: BackupTasks; readonly clock: Clock; readonly logger: Logger }) {
    this.listeningSince = parts.clock.now();
    this.loop = new BackgroundLoop({
      name: 'backup-task-watchdog',
      intervalMs: INTERVAL_MS,
      run: () => this.run(),
      onError: (error) => parts.logger.error({ err: error }, 'backup tasks could not be looked after; trying again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** One round. */
  async run(): Promise<void | 'again'> {
    await this.parts.tasks.giveUpUnheardOf(this.listeningSince);
    return (await this.parts.tasks.prune()) === 'again' ? 'again' : undefined;
  }
}
