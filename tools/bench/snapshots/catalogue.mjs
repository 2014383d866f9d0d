// The catalogue with so many snapshots: pages of the list of a cluster and the usage of a key, over HTTP as a client sees them, one after the other.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { newObjectId, serviceAccountChanged, signingKeyCreated } from '@atrest/contracts';
import { ACCESS_TOKEN_ALGORITHM, ACCESS_TOKEN_AUDIENCE, ACCESS_TOKEN_TYPE } from '@atrest/platform-auth';
import { createHttpApp } from '@atrest/platform-http';
import { EmbeddedTransport } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { EmbeddedPostgres } from '@atrest/platform-persistence';
import { systemClock } from '@atrest/platform-time';
import { createSnapshotCatalogService } from '@atrest/snapshot-catalog';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import pg from 'pg';
import { loggerOf } from '../events/shared.mjs';
import { fillCatalogue } from './catalogue-data.mjs';

const ISSUER = 'https://atrest.example';
const REQUESTS = 2_000;
const WARM_UP = 300;
/** One in so many asks for the key that half of all clusters use. */
const LARGE_KEY_EVERY = 10;
const PAGE = 100;

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
const oneOf = (list) => list[Math.floor(Math.random() * list.length)];

/** Prints a table and answers the figures. */
export async function measureCatalogue({ snapshots, parent, machine }) {
  const folder = mkdtempSync(join(parent, 'atrest-bench-catalogue-'));
  // PostgreSQL, which refuses to run as root, must reach its own folder in here.
  await chmod(folder, 0o711);
  const logger = loggerOf('catalogue');
  const closers = [];
  try {
    const postgres = await EmbeddedPostgres.start({ dataFolder: join(folder, 'postgres'), logger });
    closers.push(() => postgres.stop());
    const transport = new EmbeddedTransport();
    closers.push(() => transport.close());
    const metrics = new Metrics({});
    const dependencies = { database: { url: postgres.url }, transport, clock: systemClock, logger, metrics };
    const service = await createSnapshotCatalogService(dependencies, { issuer: ISSUER });
    closers.push(() => service.stop());
    const begun = performance.now();
    const world = await withClient(postgres.url, (client) => fillCatalogue(client, snapshots));
    const filled = (performance.now() - begun) / 1_000;
    console.log(
      `${snapshots} snapshots of ${world.clusterCount} clusters, ${world.clustersOfLargeKey} of them under one key; filled in ${filled.toFixed(0)} s`,
    );

    // Only what answers requests and keeps access: loops of a service with a year of history that never happened would be at work all the time.
    await service.messaging.start();
    const token = await access(service, transport, world.orgId);
    const http = await createHttpApp({ modules: [service.module], logger, metrics });
    closers.push(() => http.close());
    const url = await http.listen(0, '127.0.0.1');
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    closers.push(async () => agent.destroy());
    const ask = (path) => bytesOf(`${url}/api/atlas/v2/groups/${path}`, agent, token);

    const description = machine();
    const pages = Math.max(1, Math.floor(world.snapshotsPerCluster / PAGE));
    const list = await timed(
      () => {
        const { projectId, name } = oneOf(world.clusters);
        const pageNum = 1 + Math.floor(Math.random() * pages);
        return ask(`${projectId}/clusters/${name}/backup/snapshots?pageNum=${pageNum}&itemsPerPage=${PAGE}`);
      },
      ({ results }) => results.length === Math.min(PAGE, world.snapshotsPerCluster),
    );
    const usage = await timed(
      (index) => {
        const { projectId, keyId } = index % LARGE_KEY_EVERY === 0 ? world.largeKey : oneOf(world.keys);
        return ask(`${projectId}/encryptionKeys/${encodeURIComponent(keyId)}/usage`);
      },
      ({ snapshots: { count } }) => count > 0,
    );
    console.log(description);
    console.table([
      { request: `list, page of ${PAGE}`, ...list },
      { request: 'usage of a key', ...usage },
    ]);
    return [
      ['catalog.list_p99_ms', Number(list['p99 ms']), 'ms'],
      ['catalog.usage_p99_ms', Number(usage['p99 ms']), 'ms'],
    ];
  } finally {
    for (const close of closers.reverse()) await close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A whole answer as it arrives. What a client makes of it is its own time. */
function bytesOf(url, agent, token) {
  return new Promise((resolve, reject) => {
    const headers = { accept: 'application/vnd.atlas.2025-03-12+json', authorization: `Bearer ${token}` };
    get(url, { agent, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => {
        const body = Buffer.concat(chunks);
        if (response.statusCode === 200) resolve(body);
        else reject(new Error(`${url} answered ${response.statusCode}: ${body.toString()}`));
      });
      response.on('error', reject);
    }).on('error', reject);
  });
}

async function timed(request, isRight) {
  for (let index = 0; index < WARM_UP; index += 1) {
    const answer = JSON.parse(await request(index));
    if (!isRight(answer)) throw new Error(`a wrong answer: ${JSON.stringify(answer).slice(0, 500)}`);
  }
  const times = [];
  for (let index = 0; index < REQUESTS; index += 1) {
    const begun = performance.now();
    await request(index);
    times.push(performance.now() - begun);
  }
  times.sort((one, other) => one - other);
  return {
    requests: REQUESTS,
    'p50 ms': quantile(times, 0.5).toFixed(1),
    'p99 ms': quantile(times, 0.99).toFixed(1),
    'most ms': times.at(-1).toFixed(1),
  };
}

async function withClient(url, work) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** A token of an account that may read every project of the organisation, as `fleet` would tell of it. */
async function access(service, transport, orgId) {
  const { publicKey, privateKey } = await generateKeyPair(ACCESS_TOKEN_ALGORITHM, { extractable: true });
  const { kty, crv, x, y } = await exportJWK(publicKey);
  const now = Math.floor(Date.now() / 1_000);
  const until = new Date((now + 86_400) * 1_000).toISOString();
  const clientId = `mdb_sa_id_${newObjectId()}`;
  const grants = [{ role: 'ORG_OWNER', orgId, projectId: null }];
  const send = (definition, data) =>
    transport.send([
      {
        topic: definition.topic.name,
        envelope: {
          specversion: '1.0',
          id: randomUUID(),
          source: '/atrest/benchmark',
          type: definition.type,
          subject: definition.subjectOf(data),
          time: new Date().toISOString(),
          datacontenttype: 'application/json',
          correlationid: randomUUID(),
          data,
        },
      },
    ]);
  await send(signingKeyCreated, { kid: 'k1', publicJwk: { kty, crv, x, y }, signsUntil: until, acceptedUntil: until });
  await send(serviceAccountChanged, { clientId, orgId, name: 'benchmark', grants, signingKeys: [], deletedAt: null, revision: 1 });
  await service.messaging.whenCaughtUp();
  return new SignJWT({})
    .setProtectedHeader({ alg: ACCESS_TOKEN_ALGORITHM, typ: ACCESS_TOKEN_TYPE, kid: 'k1' })
    .setSubject(clientId)
    .setJti(randomUUID())
    .setIssuer(ISSUER)
    .setAudience(ACCESS_TOKEN_AUDIENCE)
    .setIssuedAt(now)
    .setExpirationTime(now + 7_200)
    .sign(privateKey);
}
