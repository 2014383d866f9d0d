import { constants, privateDecrypt, publicEncrypt } from 'node:crypto';
import { z } from 'zod';
import type { VaultOperation } from './azure-faults.js';
import { KeyVaultFailure } from './azure-failures.js';
import {
  purgeDateOf,
  RECOVERABLE_DAYS,
  type DevelopmentVaultKey,
  type DevelopmentVaultKeyVersion,
  type KeyVaultStore,
} from './key-vault-store.js';

/** A request to a vault, as its path says it. */
export interface KeyVaultRequest {
  readonly operation: VaultOperation;
  readonly name: string;
  /** '' for the newest. */
  readonly version: string;
}

const ROUTES: readonly [method: string, path: RegExp, operation: VaultOperation][] = [
  ['POST', /^\/keys\/([\w-]+)\/create$/, 'createKey'],
  ['POST', /^\/keys\/([\w-]+)\/(\w*)\/?wrapkey$/, 'wrapKey'],
  ['POST', /^\/keys\/([\w-]+)\/(\w*)\/?unwrapkey$/, 'unwrapKey'],
  ['GET', /^\/keys\/([\w-]+)\/?(\w*)$/, 'getKey'],
  ['PATCH', /^\/keys\/([\w-]+)\/?(\w*)$/, 'updateKey'],
  ['DELETE', /^\/keys\/([\w-]+)\/?$/, 'deleteKey'],
  ['GET', /^\/deletedkeys\/([\w-]+)$/, 'getDeletedKey'],
  ['POST', /^\/deletedkeys\/([\w-]+)\/recover$/, 'recoverKey'],
  ['DELETE', /^\/deletedkeys\/([\w-]+)$/, 'purgeKey'],
];

export function keyVaultRequestOf(method: string, path: string): KeyVaultRequest | null {
  for (const [verb, pattern, operation] of ROUTES) {
    const match = verb === method ? pattern.exec(path) : null;
    if (match !== null) return { operation, name: match[1] ?? '', version: match[2] ?? '' };
  }
  return null;
}

const AttributesSchema = z.object({ enabled: z.boolean().optional(), nbf: z.int().nullish(), exp: z.int().nullish() });
const CreateSchema = z.object({
  kty: z.enum(['RSA', 'RSA-HSM', 'EC']),
  key_size: z.int().optional(),
  key_ops: z.array(z.string()).optional(),
  attributes: AttributesSchema.optional(),
});
const UpdateSchema = z.object({ key_ops: z.array(z.string()).optional(), attributes: AttributesSchema.optional() });
const CryptoSchema = z.object({ alg: z.string(), value: z.string() });

const badParameter = (words: string): KeyVaultFailure => new KeyVaultFailure(400, 'BadParameter', words);

function parsed<Output>(schema: z.ZodType<Output>, body: unknown): Output {
  const result = schema.safeParse(body);
  if (!result.success) throw badParameter('Property has invalid value');
  return result.data;
}

/** Answers what a vault is asked, with Key Vault's states, checks and errors. Who asks was checked before. */
export class KeyVaultOperations {
  constructor(private readonly store: KeyVaultStore) {}

  async run(host: string, request: KeyVaultRequest, body: unknown): Promise<object | null> {
    const { operation, name } = request;
    switch (operation) {
      case 'createKey':
        return this.create(host, name, parsed(CreateSchema, body));
      case 'getKey':
        return this.bundle(this.store.version(host, name, request.version));
      case 'updateKey':
        return this.update(host, request, parsed(UpdateSchema, body));
      case 'wrapKey':
      case 'unwrapKey':
        return this.crypto(host, request, parsed(CryptoSchema, body));
      case 'deleteKey':
        return this.deletedBundle(this.store.delete(host, name));
      case 'getDeletedKey':
        return this.deletedBundle(this.store.deleted(host, name));
      case 'recoverKey':
        return this.bundle(newest(this.store.recover(host, name)));
      case 'purgeKey':
        this.store.purge(host, name);
        return null;
    }
  }

  private async create(host: string, name: string, o: z.output<typeof CreateSchema>): Promise<object> {
    const made = await this.store.create(host, name, {
      kty: o.kty,
      ...(o.key_size !== undefined && { keySize: o.key_size }),
      ...(o.key_ops !== undefined && { operations: o.key_ops }),
    });
    change(made.version, o);
    return this.bundle(made);
  }

  private update(host: string, request: KeyVaultRequest, o: z.output<typeof UpdateSchema>): object {
    const found = this.store.version(host, request.name, request.version);
    change(found.version, o);
    found.version.updated = this.store.seconds;
    return this.bundle(found);
  }

  /** A disabled key still wraps, an expired one still unwraps: so does Azure. */
  private crypto(host: string, request: KeyVaultRequest, o: z.output<typeof CryptoSchema>): object {
    const { operation } = request;
    const { key, version } = this.store.version(host, request.name, request.version);
    if (operation === 'unwrapKey' && !version.enabled) {
      throw new KeyVaultFailure(403, 'Forbidden', `Operation ${operation} is not allowed on a disabled key.`, 'KeyDisabled');
    }
    if (!version.operations.includes(operation)) {
      throw new KeyVaultFailure(403, 'Forbidden', `Operation ${operation} is not permitted on this key.`, 'KeyOperationForbidden');
    }
    if (operation === 'wrapKey') assertWithinTime(version, this.store.seconds);
    const oaepHash = { 'RSA-OAEP': 'sha1', 'RSA-OAEP-256': 'sha256' }[o.alg];
    if (version.kty === 'EC' || oaepHash === undefined) throw badParameter(`Key and signing algorithm are incompatible: ${o.alg}`);
    const input = Buffer.from(o.value, 'base64url');
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    try {
      const output =
        operation === 'wrapKey'
          ? publicEncrypt({ key: version.publicKey, padding, oaepHash }, input)
          : privateDecrypt({ key: version.privateKey, padding, oaepHash }, input);
      return { kid: idOf(key, version), value: output.toString('base64url') };
    } catch {
      throw badParameter('The parameter is incorrect.\r\n');
    }
  }

  private bundle({ key, version }: { key: DevelopmentVaultKey; version: DevelopmentVaultKeyVersion }): object {
    const { n, e, x, y, crv } = version.publicKey.export({ format: 'jwk' });
    return {
      key: { kid: idOf(key, version), kty: version.kty, key_ops: version.operations, n, e, x, y, crv },
      attributes: {
        enabled: version.enabled,
        ...(version.notBefore !== null && { nbf: version.notBefore }),
        ...(version.expires !== null && { exp: version.expires }),
        created: version.created,
        updated: version.updated,
        recoveryLevel: 'Recoverable+Purgeable',
        recoverableDays: RECOVERABLE_DAYS,
      },
    };
  }

  private deletedBundle(key: DevelopmentVaultKey): object {
    const deletedAt = key.deletedAt ?? 0;
    return {
      ...this.bundle(newest(key)),
      recoveryId: `https://${key.host}/deletedkeys/${key.name}`,
      deletedDate: Math.floor(deletedAt / 1_000),
      scheduledPurgeDate: purgeDateOf(deletedAt),
    };
  }
}

/** The URL that names one version of a key for ever. */
export const idOf = (key: DevelopmentVaultKey, version: DevelopmentVaultKeyVersion): string =>
  `https://${key.host}/keys/${key.name}/${version.version}`;

function newest(key: DevelopmentVaultKey): { key: DevelopmentVaultKey; version: DevelopmentVaultKeyVersion } {
  const version = key.versions.at(-1);
  if (version === undefined) throw new Error('a key without versions');
  return { key, version };
}

/** Changes attributes as a request names them; what it does not name stays. */
export function change(
  version: DevelopmentVaultKeyVersion,
  o: { key_ops?: string[] | undefined; attributes?: z.output<typeof AttributesSchema> | undefined },
): void {
  if (o.key_ops !== undefined) version.operations = o.key_ops;
  const { enabled, nbf, exp } = o.attributes ?? {};
  if (enabled !== undefined) version.enabled = enabled;
  if (nbf !== undefined) version.notBefore = nbf;
  if (exp !== undefined) version.expires = exp;
}

function assertWithinTime(version: DevelopmentVaultKeyVersion, seconds: number): void {
  if (version.expires !== null && version.expires <= seconds) {
    throw new KeyVaultFailure(403, 'Forbidden', 'Operation wrapKey is not allowed on an expired key.', 'KeyExpired');
  }
  if (version.notBefore !== null && version.notBefore > seconds) {
    throw new KeyVaultFailure(403, 'Forbidden', 'Operation wrapKey is not allowed on a key that is not yet valid.', 'KeyNotYetValid');
  }
}
