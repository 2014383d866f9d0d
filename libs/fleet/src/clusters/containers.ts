import { createHash } from 'node:crypto';
import type { RegionSettings } from './settings/cluster-settings.js';

/** A block nobody routes to: our networks are the operator's own. */
const CIDR = '192.168.248.0/21';

const idOf = (...parts: string[]): string => createHash('sha256').update(parts.join('/')).digest('hex').slice(0, 24);

/**
 * Network containers as Terraform wants them: one per provider and region in use (for GCP one for all regions). Nothing of it exists; ids are derived, so that
 * they stay the same from one answer to the next.
 */
export function containersOf(projectId: string, regions: readonly RegionSettings[]): object[] {
  const used = new Map<string, { providerName: string; regionName: string }>();
  for (const { providerName, regionName } of regions) used.set(`${providerName}/${regionName}`, { providerName, regionName });
  const all = [...used.values()].sort((a, b) => (`${a.providerName}${a.regionName}` < `${b.providerName}${b.regionName}` ? -1 : 1));
  const shared = { atlasCidrBlock: CIDR, provisioned: true };
  const single = all.flatMap(({ providerName, regionName }): object[] => {
    const id = idOf(projectId, providerName, regionName);
    if (providerName === 'AWS') return [{ id, providerName, regionName, ...shared }];
    return providerName === 'AZURE' ? [{ id, providerName, region: regionName, ...shared }] : [];
  });
  const gcp = all.filter((each) => each.providerName === 'GCP').map((each) => each.regionName);
  return gcp.length === 0 ? single : [...single, { id: idOf(projectId, 'GCP'), providerName: 'GCP', regions: gcp, ...shared }];
}
