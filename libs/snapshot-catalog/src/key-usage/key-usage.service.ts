import type { EncryptionKey, KeyUsage } from '@atrest/contracts';
import { ApiError, atlasTime, groupNotFound } from '@atrest/platform-http';
import { awaitProjection } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { KeyConfigurationProjection, KnownKeyConfiguration } from '../projections/key-configuration-projection.js';
import type { ProjectProjection } from '../projections/project-projection.js';
import { configurationNaming, keyStanding, shownKeyId, type NamedKey } from './key-standing.js';
import { judgeDeletion, NO_SNAPSHOTS, type SnapshotsUnderKey } from './key-usage.js';
import type { KeyUsageRepository } from './key-usage.repository.js';
import { masterKeyUUID } from './master-key-uuid.js';

export interface KeyUsageParts {
  readonly repository: KeyUsageRepository;
  readonly keyConfigurations: KeyConfigurationProjection;
  readonly projects: ProjectProjection;
  readonly clock: Clock;
}

type KeyWithSnapshots = NamedKey & { readonly snapshots: SnapshotsUnderKey };

/** Which customer keys a project uses or used, and what depends on each. */
export class KeyUsages {
  constructor(private readonly parts: KeyUsageParts) {}

  /** Those that are configured first, then those of snapshots, the newest first. */
  async list(projectId: string, baseUrl: string): Promise<EncryptionKey[]> {
    const configurations = await this.configurationsOf(projectId);
    const used = await this.parts.repository.keysOf(projectId);
    const configured = configuredKeys(configurations).map((key): KeyWithSnapshots => {
      return { ...key, snapshots: used.find((known) => isSame(known, key))?.snapshots ?? NO_SNAPSHOTS };
    });
    const keys = [...configured, ...used.filter((known) => !configured.some((key) => isSame(known, key)))];
    return keys.map((key) => keyView(projectId, key, configurations, baseUrl));
  }

  /** @throws ApiError 404 for a key that the project neither uses nor used: an id that was mistyped must not look like one that nobody needs */
  async usage(projectId: string, keyId: string, baseUrl: string): Promise<KeyUsage> {
    const { repository, clock } = this.parts;
    const configurations = await this.configurationsOf(projectId);
    const names = [...configuredKeys(configurations), ...(await repository.namesOf(projectId))];
    const key = names.find((each) => isNamed(each, keyId, configurations));
    if (key === undefined) {
      const shown = keyId.slice(0, 256);
      throw new ApiError(404, 'ENCRYPTION_KEY_NOT_FOUND', `No encryption key ${shown} is or was used in group ${projectId}.`, [
        shown,
        projectId,
      ]);
    }
    const configured = configurationNaming(key, configurations) !== null;
    const [snapshots, clusters] = await Promise.all([
      repository.snapshotsUnder(projectId, key),
      configured ? repository.clustersUsing(projectId, key.provider) : { count: 0, names: [] },
    ]);
    const { harmless, harmlessFrom, neededFor } = judgeDeletion({ snapshots, clusters, configured }, clock.now());
    return {
      ...keyView(projectId, { ...key, snapshots }, configurations, baseUrl),
      clusters,
      oplogWindows: [],
      downloads: [],
      otherKeys: [],
      deletion: { harmless, harmlessFrom: timeOf(harmlessFrom), neededFor: [...neededFor] },
    };
  }

  /** @throws ApiError 409 while something depends on the key */
  async checkDeletion(projectId: string, keyId: string, baseUrl: string): Promise<KeyUsage> {
    const usage = await this.usage(projectId, keyId, baseUrl);
    const { harmless, harmlessFrom, neededFor } = usage.deletion;
    if (harmless) return usage;
    const until = harmlessFrom === null ? '' : ` If nothing changes it is not needed any more from ${harmlessFrom} on.`;
    throw new ApiError(
      409,
      'ENCRYPTION_KEY_IN_USE',
      `Encryption key ${usage.encryptionKeyId} is still needed in group ${projectId}. ${neededFor.map(({ detail }) => detail).join(' ')}${until}`,
      [usage.encryptionKeyId, projectId],
      neededFor.map(({ need, detail }) => ({ field: need, description: detail })),
    );
  }

  private async configurationsOf(projectId: string): Promise<KnownKeyConfiguration[]> {
    // The project may have been created a moment ago.
    if ((await awaitProjection(() => this.parts.projects.exists(projectId))) !== true) throw groupNotFound(projectId);
    return this.parts.keyConfigurations.ofProject(projectId);
  }
}

const configuredKeys = (configurations: readonly KnownKeyConfiguration[]): NamedKey[] =>
  configurations.filter(({ enabled }) => enabled).map((each) => ({ provider: each.provider, encryptionKeyId: shownKeyId(each) }));

const isSame = (one: NamedKey, other: NamedKey): boolean =>
  one.provider === other.provider && one.encryptionKeyId === other.encryptionKeyId;

/** By its short name, by the name that snapshots show, or as the project configured it. */
function isNamed(key: NamedKey, keyId: string, configurations: readonly KnownKeyConfiguration[]): boolean {
  return (
    key.encryptionKeyId === keyId ||
    masterKeyUUID(key.provider, key.encryptionKeyId) === keyId.toLowerCase() ||
    configurationNaming(key, configurations)?.keyId === keyId
  );
}

function keyView(
  projectId: string,
  key: KeyWithSnapshots,
  configurations: readonly KnownKeyConfiguration[],
  baseUrl: string,
): EncryptionKey {
  const { provider, encryptionKeyId, snapshots } = key;
  const { kind, reason, since } = keyStanding(key, configurations);
  const id = masterKeyUUID(provider, encryptionKeyId);
  return {
    id,
    encryptionKeyId,
    provider,
    keyConfigurationId: configurationNaming(key, configurations)?.id ?? null,
    standing: { kind, reason, since: timeOf(since) },
    snapshots: {
      count: snapshots.completed,
      unfinished: snapshots.unfinished,
      oldestCreatedAt: timeOf(snapshots.oldestCreatedAt),
      newestCreatedAt: timeOf(snapshots.newestCreatedAt),
      lastExpiresAt: timeOf(snapshots.lastExpiresAt),
    },
    links: [{ rel: 'self', href: `${baseUrl}/api/atlas/v2/groups/${projectId}/encryptionKeys/${id}/usage` }],
  };
}

const timeOf = (moment: Date | null): string | null => (moment === null ? null : atlasTime(moment));
