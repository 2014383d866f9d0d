import { ClusterDocumentSchema } from '@atrest/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { after, observation, processView } from '../../test-support/process-views.contract.js';
import type { Cluster } from '../cluster-view.js';
import { checkClusterName, membersOf, type ClusterSettings, type ShardSettings } from './cluster-settings.js';
import { changeOf, settingsOfNew } from './read-document.js';
import { renderCluster, type ClusterVersion } from './render-cluster.js';
import { maskArguments } from './render-self-managed.js';

const read = (document: object): ClusterSettings => settingsOfNew(ClusterDocumentSchema.parse(document));

const cluster = (settings: ClusterSettings, change: Partial<Cluster> = {}): Cluster => ({
  id: 'c'.repeat(24),
  projectId: 'b'.repeat(24),
  name: 'orders',
  state: 'IDLE',
  stateSince: after(0),
  disabledReason: null,
  settings,
  pendingChanges: null,
  processArgs: {},
  createdAt: after(0),
  deletedAt: null,
  revision: 1,
  ...change,
});

const options = { now: after(1_000), effectiveFields: false, self: 'http://localhost/api/atlas/v2/groups/b/clusters/orders' };
const render = (settings: ClusterSettings, version: ClusterVersion, processes = [processView('mongod', { replicaSet: 'orders' })]) =>
  renderCluster({ cluster: cluster(settings), processes }, version, options);

const hardware = (nodeCount: number, diskSizeGB?: number) => ({ instanceSize: 'M30', nodeCount, ...(diskSizeGB && { diskSizeGB }) });
const region = (change: object = {}) => ({
  providerName: 'AWS',
  regionName: 'EU_CENTRAL_1',
  priority: 7,
  electableSpecs: hardware(3, 30),
  ...change,
});

/** What Terraform sends: one entry per shard, nothing that is zero or empty. */
const current = (shards = 1, regions: object[] = [region()]) => ({
  name: 'orders',
  clusterType: shards === 1 ? 'REPLICASET' : 'SHARDED',
  replicationSpecs: Array.from({ length: shards }, () => ({ zoneName: 'ZoneName managed by Terraform', regionConfigs: regions })),
  labels: [],
  tags: [],
});

describe('cluster settings', () => {
  it('are read from a body of each version', () => {
    expect(read(current(2)).shards).toHaveLength(2);
    const old = read({
      name: 'orders',
      clusterType: 'SHARDED',
      diskSizeGB: 40,
      replicationSpecs: [{ numShards: 2, zoneName: 'Zone 1', regionConfigs: [region({ electableSpecs: hardware(3) })] }],
    });
    expect(old.shards.map((shard) => shard.regions[0]?.electable)).toEqual([hardware(3, 40), hardware(3, 40)]);
    expect(new Set(old.shards.map((shard) => shard.id)).size).toBe(2);
    expect(new Set(old.shards.map((shard) => shard.zoneId)).size).toBe(1);
    const legacy = read({
      name: 'orders',
      diskSizeGB: 10,
      providerBackupEnabled: true,
      backupEnabled: false,
      providerSettings: { providerName: 'AWS', instanceSizeName: 'M10', regionName: 'US_EAST_1' },
    });
    expect(legacy).toMatchObject({ clusterType: 'REPLICASET', backupEnabled: true });
    expect(legacy.shards[0]?.regions).toMatchObject([
      { regionName: 'US_EAST_1', electable: { instanceSize: 'M10', nodeCount: 3, diskSizeGB: 10 } },
    ]);
  });

  it('are rendered in three versions from one model', () => {
    const settings = read(current(2));
    const newest = render(settings, '2024-08-05');
    expect(newest['replicationSpecs']).toHaveLength(2);
    expect(newest).not.toHaveProperty('diskSizeGB');
    const older = render(settings, '2023-02-01');
    expect(older).toMatchObject({ diskSizeGB: 30, replicationSpecs: [{ numShards: 2, regionConfigs: [{ electableSpecs: hardware(3) }] }] });
    expect(older).not.toHaveProperty('retainBackups');
    expect(older).not.toHaveProperty('redactClientLogData');
    const oldest = render(settings, '2023-01-01');
    expect(oldest).toMatchObject({
      numShards: 2,
      replicationFactor: 3,
      backupEnabled: false,
      providerBackupEnabled: false,
      providerSettings: { providerName: 'AWS', instanceSizeName: 'M30', regionName: 'EU_CENTRAL_1' },
      replicationSpecs: [{ numShards: 2, regionsConfig: { EU_CENTRAL_1: { electableNodes: 3, priority: 7 } } }],
      mongoURI: 'mongodb://mongod.example:27017',
      mongoURIWithOptions: 'mongodb://mongod.example:27017/?replicaSet=orders',
    });
  });

  it('do not change when a client sends back what it read, in any version', () => {
    const spec = fc.record({
      instanceSize: fc.constantFrom('M10', 'R40'),
      nodeCount: fc.constantFrom(1, 3, 5),
      diskSizeGB: fc.constantFrom(10, 40),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        spec,
        fc.nat(2),
        fc.boolean(),
        fc.constantFrom<ClusterVersion>('2023-01-01', '2023-02-01', '2024-08-05'),
        (shards, electableSpecs, readOnlyNodes, backupEnabled, version) => {
          const readOnlySpecs = { ...electableSpecs, nodeCount: readOnlyNodes };
          const autoScaling = { compute: { enabled: false } };
          const settings = read({ ...current(shards, [region({ electableSpecs, readOnlySpecs, autoScaling })]), backupEnabled });
          const answered: unknown = JSON.parse(JSON.stringify(render(settings, version)));
          const { mongoDBVersion: _, mongoDBMajorVersion: __, ...change } = changeOf(ClusterDocumentSchema.parse(answered), settings);
          expect(change).toEqual({});
        },
      ),
    );
  });

  it('carry nothing that an answer must not show as empty', () => {
    for (const version of ['2023-01-01', '2023-02-01', '2024-08-05'] as const) {
      const creating = renderCluster({ cluster: cluster(read(current()), { state: 'CREATING' }), processes: [] }, version, options);
      expect(creating).toMatchObject({ stateName: 'CREATING', connectionStrings: {}, createDate: '2026-11-23T10:00:00Z' });
      const nulls = Object.entries(creating).filter(([, value]) => value === null);
      expect(nulls.map(([key]) => key)).toEqual(version === '2024-08-05' ? ['adaptiveCapacity'] : []);
    }
  });

  it('show a pending change where a client looks for it, and say that it is pending', () => {
    const settings = read(current());
    const view = { cluster: cluster(settings, { state: 'DISABLED', pendingChanges: { backupEnabled: true } }), processes: [] };
    expect(renderCluster(view, '2024-08-05', options)).toMatchObject({
      stateName: 'IDLE',
      backupEnabled: true,
      selfManaged: { state: 'DISABLED', pendingChanges: { backupEnabled: true } },
    });
  });

  it('mark what a silent host last reported as stale', () => {
    const own = 'd'.repeat(24);
    const silent = processView('mongod', { id: own, observation: observation(own), hostHeardAt: after(-31_000) });
    expect(render(read(current()), '2024-08-05', [silent])).toMatchObject({
      selfManaged: { stale: true, processes: [{ stale: true, lastHeardAt: '2026-11-23T09:59:29Z', status: 'running' }] },
    });
  });

  it('refuse what cannot be', () => {
    const refused = (document: object) => {
      try {
        read(document);
      } catch (error) {
        return (error as { code: string }).code;
      }
      return null;
    };
    expect(refused({ name: 'x' })).toBe('INVALID_CLUSTER_CONFIGURATION');
    expect(refused({ ...current(2), clusterType: 'REPLICASET' })).toBe('INVALID_CLUSTER_CONFIGURATION');
    expect(refused(current(1, [region({ electableSpecs: hardware(0) })]))).toBe('INVALID_CLUSTER_CONFIGURATION');
    const twoClouds = current(1, [region(), region({ providerName: 'GCP', regionName: 'WESTERN_EUROPE' })]);
    expect(refused(twoClouds)).toBeNull();
    expect(refused({ ...twoClouds, encryptionAtRestProvider: 'AWS' })).toBe('ENCRYPTION_AT_REST_PROVIDER_NOT_SUPPORTED');
    expect(refused({ ...current(), encryptionAtRestProvider: 'GCP' })).toBeNull();
    const tenant = current(1, [region({ providerName: 'TENANT', backingProviderName: 'AWS' })]);
    expect(refused({ ...tenant, encryptionAtRestProvider: 'AWS' })).toBe('CANNOT_USE_ENCRYPTION_AT_REST_TENANT');
  });

  it('F84 names with quotes, dots, signs, unicode or 1,000 characters are refused by name', () => {
    const refused = (name: string) => {
      try {
        checkClusterName(name);
      } catch (error) {
        return (error as { code: string }).code;
      }
      return null;
    };
    for (const name of ['a"b', "o'hara", 'a.b', '$where', 'größe', '-a', '', 'a b', '../etc', 'a\u0000'])
      expect(refused(name)).toBe('CLUSTER_NAME_INVALID');
    expect(refused('n'.repeat(1_000))).toBe('CLUSTER_NAME_TOO_LONG');
    expect(refused('Orders-2')).toBeNull();
  });

  it('give at most seven members a vote, and no priority to those without', () => {
    const [shard] = read(current(1, [region({ electableSpecs: hardware(5), readOnlySpecs: hardware(4) })])).shards as [ShardSettings];
    const members = membersOf(shard);
    expect(members.filter((member) => member.votes === 1)).toHaveLength(7);
    expect(members.filter((member) => member.priority > 0)).toHaveLength(5);
    expect(members.every((member) => member.votes === 1 || member.priority === 0)).toBe(true);
  });

  it.each([
    [
      ['--setParameter', 'ldapQueryPassword=hunter2'],
      ['--setParameter', 'ldapQueryPassword=***'],
    ],
    [['--setParameter=ldapQueryPassword=hunter2'], ['--setParameter=ldapQueryPassword=***']],
    [
      ['--ldapServers', 'ldap://user:hunter2@host'],
      ['--ldapServers', 'ldap://user:***@host'],
    ],
    [
      ['--setParameter', 'ttlMonitorEnabled=false'],
      ['--setParameter', 'ttlMonitorEnabled=false'],
    ],
  ])('masks secrets wherever an argument may carry them: %j', (args, shown) => {
    expect(maskArguments(args)).toEqual(shown);
  });

  it('never show a secret argument', () => {
    const shown = maskArguments([
      '--kmipClientCertificatePassword',
      'hunter2',
      '--tlsCertificateKeyFilePassword=hunter2',
      '--quiet',
      '--setParameter',
      'a=b',
    ]);
    expect(shown).toEqual([
      '--kmipClientCertificatePassword',
      '***',
      '--tlsCertificateKeyFilePassword=***',
      '--quiet',
      '--setParameter',
      'a=b',
    ]);
  });
});
