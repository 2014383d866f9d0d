import type { BreakerIncident, EventEnvelope, KeyConfigurationState } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import type { ServiceDatabase, Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { KeyConfigurationEventName } from '../alerts/alert.js';
import type { Notifier } from '../delivery/notifier.js';
import { kmsUnreachablePage, shutdownsHeldPage } from '../messages/operator-messages.js';
import { incidentChanges, judgeIncident, type IncidentKind } from './incident.js';
import type { IncidentRepository, PageTimes } from './incident.repository.js';

/**
 * What happens to many at once is told in one message: this long it waits for the others. A minute is the default interval between checks, in which
 * every key is looked at once. Log and metric tell at once, for those who page by them.
 */
const COLLECT_MS = 60_000;
/** Between two messages about one incident. */
const PAUSE_MS = 15 * 60_000;

export interface IncidentsParts {
  readonly database: ServiceDatabase;
  readonly repository: IncidentRepository;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly publicUrl: string;
}

/** Troubles of the whole installation: many configurations, one incident, few messages to the operators. */
export class Incidents {
  constructor(private readonly parts: IncidentsParts) {}

  async ofKeyConfiguration(tx: Transaction, name: KeyConfigurationEventName, event: EventEnvelope<KeyConfigurationState>): Promise<void> {
    for (const change of incidentChanges(name, event.data, new Date(event.time))) {
      const outcome = await this.parts.repository.apply(tx, event.data, change, this.times());
      if (outcome === 'opened') this.raise(change.kind, { projectId: event.data.projectId, provider: event.data.provider });
    }
  }

  async ofBreaker(tx: Transaction, event: EventEnvelope<BreakerIncident>): Promise<void> {
    // That it is closed follows from the configurations, which also say what became of each.
    if (event.data.closedAt !== null) return;
    const outcome = await this.parts.repository.applyBreaker(tx, event.data, this.times());
    if (outcome === 'opened') this.raise('SHUTDOWNS_HELD', { failing: event.data.failing, total: event.data.total });
  }

  /** Queues the messages that are due. */
  async page(): Promise<void> {
    while ((await this.pageNext()) === 'looked');
  }

  nextDueAt(): Promise<Date | null> {
    return this.parts.repository.nextDueAt();
  }

  private pageNext(): Promise<'looked' | 'none'> {
    const { database, repository, notifier, clock, publicUrl } = this.parts;
    return database.transaction(async (tx) => {
      const now = clock.now();
      const incident = await repository.due(tx, now);
      if (incident === null) return 'none';
      const entries = await repository.entries(tx, incident.id);
      const { page: reason, closes } = judgeIncident(incident, entries);
      if (reason !== null) {
        const about = { incident, entries, reason, publicUrl };
        await notifier.page(tx, {
          cause: `incident/${incident.id}/${incident.pages + 1}`,
          kind: incident.kind,
          content: incident.kind === 'SHUTDOWNS_HELD' ? shutdownsHeldPage(about) : kmsUnreachablePage(about),
        });
      }
      await repository.looked(tx, incident.id, { paged: reason !== null, closes, now });
      return 'looked';
    });
  }

  private raise(kind: IncidentKind, facts: Readonly<Record<string, unknown>>): void {
    this.parts.notifier.alertOperators(kind === 'SHUTDOWNS_HELD' ? 'shutdowns-held' : 'kms-unreachable', facts);
  }

  private times(): PageTimes {
    return { now: this.parts.clock.now(), collectMs: COLLECT_MS, pauseMs: PAUSE_MS };
  }
}
