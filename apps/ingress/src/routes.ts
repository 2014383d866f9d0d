/** The services that answer HTTP. */
export const UPSTREAMS = ['fleet', 'kms-validation', 'notification', 'restore-execution', 'snapshot-catalog'] as const;
export type Upstream = (typeof UPSTREAMS)[number];

const ATLAS = '^/api/atlas/(?:v2|v1\\.0|v1\\.5)';
const PROJECT = `${ATLAS}/groups/[^/]+`;

/**
 * Which service owns which path (docs/explanation/architecture.md); the first that fits. Everything else is `fleet`'s, which also answers what
 * nobody serves.
 */
const ROUTES: readonly { readonly path: RegExp; readonly upstream: Upstream }[] = [
  { path: new RegExp(`${PROJECT}/(?:encryptionAtRest|cloudProviderAccess)(?:/|$)`), upstream: 'kms-validation' },
  { path: new RegExp(`${ATLAS}/orgs/[^/]+/encryptionAtRest(?:/|$)`), upstream: 'kms-validation' },
  { path: /^\/kms-events\//, upstream: 'kms-validation' },
  { path: new RegExp(`${PROJECT}/(?:alerts|alertConfigs|events)(?:/|$)`), upstream: 'notification' },
  { path: new RegExp(`${ATLAS}/alertConfigs/`), upstream: 'notification' },
  { path: new RegExp(`${PROJECT}/clusters/[^/]+/backup/restoreJobs(?:/|$)`), upstream: 'restore-execution' },
  { path: new RegExp(`${PROJECT}/clusters/[^/]+/backup/(?:snapshots|schedule)(?:/|$)`), upstream: 'snapshot-catalog' },
  { path: new RegExp(`${PROJECT}/encryptionKeys(?:/|$)`), upstream: 'snapshot-catalog' },
  { path: /^\/downloads\//, upstream: 'restore-execution' },
];

/** The owner of a request's path (percent-encoded, without query). */
export function upstreamOf(path: string): Upstream {
  return ROUTES.find((route) => route.path.test(path))?.upstream ?? 'fleet';
}
