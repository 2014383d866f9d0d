import { randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Clock } from '@atrest/platform-time';
import { KmsFailure } from './kms-failure.js';
import type { KnownAccessKey } from './sigv4.js';

export type DevelopmentKeyState = 'Enabled' | 'Disabled' | 'PendingDeletion' | 'PendingImport' | 'Unavailable' | 'Creating' | 'Updating';

export interface DevelopmentKey {
  readonly keyId: string;
  readonly region: string;
  readonly keySpec: string;
  readonly keyUsage: string;
  readonly origin: 'AWS_KMS' | 'EXTERNAL';
  readonly description: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Base64 of 32 random bytes. */
  readonly material: string;
  state: DevelopmentKeyState;
  /** Milliseconds since 1970; only while pending deletion. */
  deletionDate: number | null;
  /** Automatic rotation; `since` in milliseconds since 1970. Null or left out when it is off. */
  rotation?: { readonly periodDays: number; readonly since: number } | null;
}

/** Takes a permission away. Without a field it applies to all. */
export interface Denial {
  readonly id: string;
  readonly keyId?: string;
  readonly accessKeyId?: string;
  readonly operations?: readonly string[];
}

export interface Alias {
  readonly region: string;
  /** With the `alias/` prefix. */
  readonly name: string;
  keyId: string;
}

/** A role that lends its rights for a while. */
export interface Role {
  readonly arn: string;
  /** Who assumes it must name this; null when the trust policy does not ask for one. */
  readonly externalId: string | null;
}

interface StoredState {
  readonly warning: string;
  readonly format: 1;
  keys: DevelopmentKey[];
  aliases: Alias[];
  accessKeys: KnownAccessKey[];
  denials: Denial[];
  /** Left out in files of earlier versions. */
  roles?: Role[];
}

const WARNING = 'Atrest development KMS: key material and secrets in clear. Never use it for real data.';

/** Everything the server must remember, in memory and, when asked for, in a file that only its owner can read. */
export class KmsStore {
  private constructor(
    readonly accountId: string,
    private readonly clock: Clock,
    private readonly file: string | null,
    private readonly state: StoredState,
  ) {}

  static open(o: { accountId: string; clock: Clock; stateFile?: string }): KmsStore {
    const file = o.stateFile ?? null;
    let state: StoredState = { warning: WARNING, format: 1, keys: [], aliases: [], accessKeys: [], denials: [] };
    if (file !== null && existsSync(file)) {
      const stored = JSON.parse(readFileSync(file, 'utf8')) as StoredState;
      if (stored.format !== 1) throw new Error(`${file} was not written by this version of the development KMS`);
      state = stored;
    }
    return new KmsStore(o.accountId, o.clock, file, state);
  }

  /** Changes the state and writes it to the file, whole or not at all. */
  change<Result>(work: (state: StoredState) => Result): Result {
    const result = work(this.state);
    if (this.file !== null) {
      const temporary = `${this.file}.${process.pid}.tmp`;
      writeFileSync(temporary, `${JSON.stringify(this.state, null, 2)}\n`, { mode: 0o600 });
      // An umask cannot widen the mode, but a left-over file keeps its own.
      chmodSync(temporary, 0o600);
      renameSync(temporary, this.file);
    }
    return result;
  }

  get keys(): readonly DevelopmentKey[] {
    this.destroyDueKeys();
    return this.state.keys;
  }

  get aliases(): readonly Alias[] {
    return this.state.aliases;
  }

  get accessKeys(): readonly KnownAccessKey[] {
    return this.state.accessKeys;
  }

  get denials(): readonly Denial[] {
    return this.state.denials;
  }

  get roles(): readonly Role[] {
    return this.state.roles ?? [];
  }

  arnOf(key: { readonly region: string; readonly keyId: string }): string {
    return `arn:${partitionOf(key.region)}:kms:${key.region}:${this.accountId}:key/${key.keyId}`;
  }

  aliasArnOf(alias: { readonly region: string; readonly name: string }): string {
    return `arn:${partitionOf(alias.region)}:kms:${alias.region}:${this.accountId}:${alias.name}`;
  }

  /** The key that `reference` (id, ARN, alias, alias ARN) names in a region; fails as AWS does. */
  resolve(reference: string, region: string): DevelopmentKey {
    let local = reference;
    if (reference.startsWith('arn:')) {
      const match = /^arn:[a-z-]+:kms:([a-z0-9-]+):(\d{12}):(key\/.+|alias\/.+)$/.exec(reference);
      if (match === null) throw new KmsFailure('InvalidArnException', `Invalid arn ${reference}`);
      const [, arnRegion = '', account = '', resource = ''] = match;
      if (arnRegion !== region) throw new KmsFailure('NotFoundException', `Invalid arn ${arnRegion}`);
      if (account !== this.accountId) {
        throw new KmsFailure(
          'AccessDeniedException',
          'The resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access',
        );
      }
      local = resource.replace(/^key\//, '');
    }
    return local.startsWith('alias/') ? this.resolveAlias(local, region) : this.resolveKey(local, region);
  }

  private resolveAlias(name: string, region: string): DevelopmentKey {
    const alias = this.aliases.find((candidate) => candidate.name === name && candidate.region === region);
    if (alias === undefined) throw new KmsFailure('NotFoundException', `Alias ${this.aliasArnOf({ region, name })} is not found.`);
    return this.resolveKey(alias.keyId, region);
  }

  private resolveKey(keyId: string, region: string): DevelopmentKey {
    if (!/^(mrk-)?[0-9a-f-]{32,36}$/.test(keyId)) throw new KmsFailure('NotFoundException', `Invalid keyId '${keyId}'`);
    const key = this.keys.find((candidate) => candidate.keyId === keyId && candidate.region === region);
    if (key === undefined) throw new KmsFailure('NotFoundException', `Key '${this.arnOf({ region, keyId })}' does not exist`);
    return key;
  }

  createKey(o: { region: string; keySpec: string; keyUsage: string; origin: 'AWS_KMS' | 'EXTERNAL'; description: string }): DevelopmentKey {
    const key: DevelopmentKey = {
      ...o,
      keyId: randomUUID(),
      createdAt: this.clock.now().getTime(),
      material: randomBytes(32).toString('base64'),
      state: o.origin === 'EXTERNAL' ? 'PendingImport' : 'Enabled',
      deletionDate: null,
    };
    this.change((state) => state.keys.push(key));
    return key;
  }

  /** Destroys the key with its material and aliases at once. */
  destroyKey(keyId: string): void {
    this.change((state) => {
      state.keys = state.keys.filter((key) => key.keyId !== keyId);
      state.aliases = state.aliases.filter((alias) => alias.keyId !== keyId);
    });
  }

  private destroyDueKeys(): void {
    const now = this.clock.now().getTime();
    for (const key of this.state.keys) {
      if (key.state === 'PendingDeletion' && key.deletionDate !== null && key.deletionDate <= now) this.destroyKey(key.keyId);
    }
  }

  createAccessKey(o: { userName: string; temporary: boolean; expiresAt: number | null }): KnownAccessKey {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
    const suffix = Array.from(randomBytes(16), (byte) => alphabet[byte % 32]).join('');
    const accessKey: KnownAccessKey = {
      accessKeyId: `${o.temporary ? 'ASIA' : 'AKIA'}${suffix}`,
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: o.temporary ? randomBytes(96).toString('base64') : null,
      expiresAt: o.expiresAt,
      active: true,
      userName: o.userName,
    };
    this.change((state) => state.accessKeys.push(accessKey));
    return accessKey;
  }

  setAccessKey(accessKeyId: string, change: 'activate' | 'deactivate' | 'delete'): void {
    this.change((state) => {
      if (!state.accessKeys.some((key) => key.accessKeyId === accessKeyId)) throw new Error(`there is no access key ${accessKeyId}`);
      state.accessKeys =
        change === 'delete'
          ? state.accessKeys.filter((key) => key.accessKeyId !== accessKeyId)
          : state.accessKeys.map((key) => (key.accessKeyId === accessKeyId ? { ...key, active: change === 'activate' } : key));
    });
  }

  deny(denial: Omit<Denial, 'id'>): Denial {
    const stored = { ...denial, id: randomUUID() };
    this.change((state) => state.denials.push(stored));
    return stored;
  }

  allow(id?: string): void {
    this.change((state) => {
      state.denials = id === undefined ? [] : state.denials.filter((denial) => denial.id !== id);
    });
  }
}

/** The partition of an AWS region. */
export function partitionOf(region: string): string {
  if (region.startsWith('us-gov-')) return 'aws-us-gov';
  return region.startsWith('cn-') ? 'aws-cn' : 'aws';
}
