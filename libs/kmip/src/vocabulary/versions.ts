/** Versions of the protocol that are spoken here, oldest first. 2.x has other messages and is not among them. */
export const KMIP_VERSIONS = ['1.0', '1.1', '1.2', '1.3', '1.4'] as const;
export type KmipVersion = (typeof KMIP_VERSIONS)[number];

/** Whether something that came with `since` exists in `version`. */
export const isSince = (version: KmipVersion, since: KmipVersion): boolean =>
  KMIP_VERSIONS.indexOf(version) >= KMIP_VERSIONS.indexOf(since);

export interface VersionNumber {
  readonly major: number;
  readonly minor: number;
}

export function versionNumber(version: KmipVersion): VersionNumber {
  const [major, minor] = version.split('.');
  return { major: Number(major), minor: Number(minor) };
}

/** The version of a header; null when it is none that is spoken here. */
export const versionOf = ({ major, minor }: VersionNumber): KmipVersion | null =>
  KMIP_VERSIONS.find((version) => version === `${major}.${minor}`) ?? null;
