import { ResultReason } from '../vocabulary/enumerations.js';
import { isSince, KMIP_VERSIONS, type KmipVersion } from '../vocabulary/versions.js';

/** 1.2 first, because it is what MongoDB's servers use and therefore what appliances were tested with. */
const PREFERENCE: readonly KmipVersion[] = ['1.2', '1.4', '1.3', '1.1', '1.0'];

/** Tried one after the other where a server does not say what it speaks: some speak 1.4 alone, all old ones speak 1.0. */
const TRIAL: readonly KmipVersion[] = ['1.2', '1.4', '1.0'];

/** Reasons with which servers refuse a version; an operation that the version lacks is refused the same way. */
const REFUSALS: ReadonlySet<number | null> = new Set([
  ResultReason.InvalidMessage,
  ResultReason.OperationNotSupported,
  ResultReason.FeatureNotSupported,
  ResultReason.UnsupportedProtocolVersion,
]);

/** Whether a failed operation may succeed in another version. */
export const mayBeVersion = (reason: number | null): boolean => REFUSALS.has(reason);

/** What is known of the versions of one server. */
export class VersionPlan {
  private order: readonly KmipVersion[];
  private knowledge: 'unknown' | 'guessed' | 'known';

  constructor(fixed?: KmipVersion) {
    this.order = fixed === undefined ? [] : [fixed];
    this.knowledge = fixed === undefined ? 'unknown' : 'known';
  }

  /** Whether the server should be asked with DiscoverVersions first. */
  get isUnknown(): boolean {
    return this.knowledge === 'unknown';
  }

  /** Whether the versions are only tried: then even the end of a connection may be about the version. */
  get isGuessed(): boolean {
    return this.knowledge === 'guessed';
  }

  /** The server cannot be asked. */
  undiscoverable(): void {
    this.order = TRIAL;
    this.knowledge = 'guessed';
  }

  /** The server said what it speaks. Gives false when it is nothing that is spoken here. */
  discovered(versions: readonly (KmipVersion | null)[]): boolean {
    this.order = PREFERENCE.filter((version) => versions.includes(version));
    this.knowledge = this.order.length > 0 ? 'known' : 'unknown';
    return this.order.length > 0;
  }

  /** The versions to try for something that came with `since`. */
  candidates(since: KmipVersion): readonly KmipVersion[] {
    return this.order.filter((version) => isSince(version, since));
  }

  /** The server understood this version: it is tried first from now on. */
  worked(version: KmipVersion): void {
    this.order = [version, ...this.order.filter((other) => other !== version)];
    this.knowledge = 'known';
  }
}

/** All that is spoken here, newest first, as DiscoverVersions asks for it. */
export const OFFERED_VERSIONS: readonly KmipVersion[] = [...KMIP_VERSIONS].reverse();
