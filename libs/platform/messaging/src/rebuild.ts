import type { Topic } from '@atrest/contracts';
import type { ServiceDatabase } from '@atrest/platform-persistence';

/** A transport that keeps what it carried and can begin again. */
export interface RewindableTransport {
  /** Makes the service read its topics from the beginning at its next start. Throws while the service runs. */
  rewind(service: string): Promise<void>;
}

/**
 * Lets a stopped service handle again what its compacted topics hold, so that projections whose rows are missing come back. Handlers compare
 * revisions: rows that are there stay as they are. Only events of compacted topics (states) are forgotten; commands and parked events are not.
 * Returns how many.
 */
export async function rebuildProjections(o: {
  readonly database: ServiceDatabase;
  readonly transport: RewindableTransport;
  readonly topics: readonly Topic[];
}): Promise<number> {
  // First, because it refuses while the service runs. Interrupted in between, nothing has changed but the place where reading begins.
  await o.transport.rewind(o.database.service);
  const compacted = o.topics.filter((topic) => topic.compacted).map((topic) => topic.name);
  const forgotten = await o.database.query(
    `DELETE FROM inbox WHERE topic = ANY($1) AND status IN ('finished', 'ignored') RETURNING position`,
    [compacted],
  );
  return forgotten.length;
}
