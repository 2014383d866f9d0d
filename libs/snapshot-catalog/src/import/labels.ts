import { SNAPSHOT_FREQUENCIES, SNAPSHOT_TYPES, RETENTION_UNITS, ObjectIdSchema, TimestampSchema } from '@atrest/contracts';
import { z } from 'zod';
import type { Snapshot } from '../snapshots/snapshot-state.js';

/**
 * What is written beside a snapshot in the store, readable without its key: enough to list it again after the catalogue is lost. Names and times, never
 * content. What is missing or unknown in labels of another release is made good by a default.
 */
export const LabelsSchema = z.object({
  clusterName: z.string().catch('unknown'),
  replicaSet: z.string().nullable().catch(null),
  provider: z.enum(['NONE', 'AWS', 'AZURE', 'GCP', 'KMIP']).nullable().catch(null),
  snapshotType: z.enum(SNAPSHOT_TYPES).catch('onDemand'),
  frequencyType: z.enum(SNAPSHOT_FREQUENCIES).nullable().catch(null),
  policyItems: z.array(ObjectIdSchema).catch([]),
  description: z.string().nullable().catch(null),
  requestedAt: TimestampSchema.nullable().catch(null),
  retentionUnit: z.enum(RETENTION_UNITS).catch('days'),
  /** Long enough for a person to look at what was found. */
  retentionValue: z.int().positive().catch(365),
  attempt: z.int().positive().catch(1),
  /** Of a part of a sharded cluster: the snapshot that it is a part of, which part, and how many there are. */
  partOf: ObjectIdSchema.nullable().catch(null),
  role: z.enum(['shard', 'config']).catch('shard'),
  parts: z.int().positive().catch(1),
});
export type Labels = z.infer<typeof LabelsSchema>;

/** What a part is, whoever orders the parts adds. */
export function labelsOf(snapshot: Snapshot): Omit<Labels, 'partOf' | 'role' | 'parts'> {
  return {
    clusterName: snapshot.clusterName,
    replicaSet: snapshot.replicaSet,
    provider: snapshot.provider,
    snapshotType: snapshot.snapshotType,
    frequencyType: snapshot.frequencyType,
    policyItems: [...snapshot.policyItems],
    description: snapshot.description,
    requestedAt: snapshot.requestedAt.toISOString(),
    retentionUnit: snapshot.retention.unit,
    retentionValue: snapshot.retention.value,
    attempt: snapshot.attempt,
  };
}
