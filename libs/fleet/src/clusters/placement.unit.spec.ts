import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { id } from '../test-support/process-views.contract.js';
import { NoRoomError, place, type PlacementHost, type PlacementRequest } from './placement.js';

const host = (change: Partial<PlacementHost> = {}): PlacementHost => ({
  id: id(),
  hostname: `h${id()}`,
  dataFolder: '/var/lib/atrest',
  portFirst: 27017,
  portLast: 27117,
  capacity: 20,
  allowsColocation: false,
  usedPorts: [],
  usedPaths: [],
  processes: 0,
  silent: false,
  sealable: true,
  ...change,
});
const members = (count: number) => Array.from({ length: count }, () => ({ priority: 7, votes: 1 }));
const request = (clusterType: PlacementRequest['clusterType'], shards: number[]): PlacementRequest => ({
  clusterId: 'c'.repeat(24),
  clusterName: 'orders',
  clusterType,
  shards: shards.map(members),
});

describe('placement', () => {
  it('spreads the members of a replica set over hosts', () => {
    const placed = place(request('REPLICASET', [3]), [host(), host(), host(), host({ silent: true })]);
    expect(new Set(placed.map((process) => process.hostId)).size).toBe(3);
    expect(placed.map((process) => [process.replicaSet, process.memberId, process.port])).toEqual(
      [0, 1, 2].map((n) => ['orders', n, 27017]),
    );
  });

  it('never mixes hosts with loopback names and others in one cluster', () => {
    const local = host({ hostname: '127.0.0.1', allowsColocation: true });
    const onOthers = place(request('SHARDED', [3]), [local, host(), host(), host()]);
    expect(onOthers.filter((process) => process.hostId === local.id)).toEqual([]);
    const onLocal = place(request('REPLICASET', [3]), [local, host()]);
    expect(new Set(onLocal.map((process) => process.hostId))).toEqual(new Set([local.id]));
  });

  it('puts members together only on a host that allows it', () => {
    expect(() => place(request('REPLICASET', [3]), [host(), host()])).toThrow(NoRoomError);
    const placed = place(request('REPLICASET', [3]), [host({ allowsColocation: true })]);
    expect(placed.map((process) => process.port)).toEqual([27017, 27018, 27019]);
    expect(new Set(placed.map((process) => process.dbPath)).size).toBe(3);
  });

  it('gives a sharded cluster three config servers, its shards and two routers on different hosts', () => {
    const placed = place(request('SHARDED', [3, 3]), [host(), host(), host()]);
    const count = (kind: string) => placed.filter((process) => process.kind === kind).length;
    expect([count('config'), count('mongod'), count('mongos')]).toEqual([3, 6, 2]);
    const routers = placed.filter((process) => process.kind === 'mongos');
    expect(new Set(routers.map((process) => process.hostId)).size).toBe(2);
    expect(routers.every((process) => process.dbPath === null)).toBe(true);
    expect(place(request('SHARDED', [1]), [host({ allowsColocation: true })]).filter((each) => each.kind === 'mongos')).toHaveLength(1);
  });

  it('never gives a port twice, never leaves a range, never fills a host beyond its capacity, never puts members together against the rule', () => {
    const anyHost = fc
      .record({
        capacity: fc.nat(12),
        first: fc.integer({ min: 1024, max: 60_000 }),
        ports: fc.nat(12),
        used: fc.array(fc.nat(12)),
        together: fc.boolean(),
      })
      .map(({ capacity, first, ports, used, together }) => {
        const usedPorts = [...new Set(used)].map((offset) => first + offset);
        return host({
          capacity,
          portFirst: first,
          portLast: first + ports,
          usedPorts,
          processes: usedPorts.length,
          allowsColocation: together,
        });
      });
    fc.assert(
      fc.property(
        fc.array(anyHost, { maxLength: 6 }),
        fc.constantFrom('REPLICASET' as const, 'SHARDED' as const),
        fc.integer({ min: 1, max: 5 }),
        (hosts, type, size) => {
          let placed: ReturnType<typeof place>;
          try {
            placed = place(request(type, type === 'SHARDED' ? [size, size] : [size]), hosts);
          } catch (error) {
            expect(error).toBeInstanceOf(NoRoomError);
            return;
          }
          for (const each of hosts) {
            const here = placed.filter((process) => process.hostId === each.id);
            const ports = [...here.map((process) => process.port), ...each.usedPorts];
            expect(new Set(ports).size).toBe(ports.length);
            expect(here.length + each.processes).toBeLessThanOrEqual(Math.max(each.capacity, each.processes));
            for (const process of here) {
              expect(process.port).toBeGreaterThanOrEqual(each.portFirst);
              expect(process.port).toBeLessThanOrEqual(each.portLast);
              if (process.dbPath !== null) expect(process.dbPath).toBe(`/var/lib/atrest/${'c'.repeat(24)}/${process.id}`);
            }
            const sets = here.map((process) => process.replicaSet ?? 'routers');
            if (!each.allowsColocation) expect(new Set(sets).size).toBe(sets.length);
          }
        },
      ),
    );
  });
});
