import { randomBytes } from 'node:crypto';
import type { Clock } from '@atrest/platform-time';
import { keyIdOf, open, seal, type EncryptionContext } from './ciphertext.js';
import { KmsFailure, validationFailure } from './kms-failure.js';
import type { DevelopmentKey, KmsStore } from './kms-store.js';
import { Parameters } from './parameters.js';
import type { Principal } from './sigv4.js';

export interface OperationCall {
  readonly operation: string;
  readonly input: Record<string, unknown>;
  readonly principal: Principal;
}

type Answer = Record<string, unknown>;
type Operation = (p: Parameters, principal: Principal) => Answer;

const DAY_MS = 24 * 3_600_000;

/** The operations of AWS KMS that the development KMS has, with the checks in AWS's order: key, permission, state, usage. */
export class Operations {
  private readonly table: Readonly<Record<string, { readonly members: readonly string[]; readonly run: Operation }>>;

  constructor(
    private readonly store: KmsStore,
    private readonly clock: Clock,
  ) {
    const context = ['EncryptionContext', 'GrantTokens', 'DryRun'];
    const dataKey = ['KeyId', 'KeySpec', 'NumberOfBytes', ...context];
    this.table = {
      Encrypt: { members: ['KeyId', 'Plaintext', 'EncryptionAlgorithm', ...context], run: (p, who) => this.encrypt(p, who) },
      Decrypt: { members: ['KeyId', 'CiphertextBlob', 'EncryptionAlgorithm', ...context], run: (p, who) => this.decrypt(p, who) },
      GenerateDataKey: { members: dataKey, run: (p, who) => this.generateDataKey(p, who, 'GenerateDataKey') },
      GenerateDataKeyWithoutPlaintext: {
        members: dataKey,
        run: (p, who) => this.generateDataKey(p, who, 'GenerateDataKeyWithoutPlaintext'),
      },
      DescribeKey: { members: ['KeyId', 'GrantTokens'], run: (p, who) => this.describeKey(p, who) },
      CreateKey: {
        members: ['Description', 'KeySpec', 'CustomerMasterKeySpec', 'KeyUsage', 'Origin', 'MultiRegion'],
        run: (p, who) => this.createKey(p, who),
      },
      CreateAlias: { members: ['AliasName', 'TargetKeyId'], run: (p, who) => this.createAlias(p, who) },
      UpdateAlias: { members: ['AliasName', 'TargetKeyId'], run: (p, who) => this.updateAlias(p, who) },
      DeleteAlias: { members: ['AliasName'], run: (p, who) => this.deleteAlias(p, who) },
      ListAliases: { members: ['KeyId', 'Limit', 'Marker'], run: (p, who) => this.listAliases(p, who) },
      DisableKey: { members: ['KeyId'], run: (p, who) => this.setState(p, who, 'DisableKey', 'Disabled') },
      EnableKey: { members: ['KeyId'], run: (p, who) => this.setState(p, who, 'EnableKey', 'Enabled') },
      ScheduleKeyDeletion: { members: ['KeyId', 'PendingWindowInDays'], run: (p, who) => this.scheduleKeyDeletion(p, who) },
      GetKeyRotationStatus: { members: ['KeyId'], run: (p, who) => this.getKeyRotationStatus(p, who) },
      EnableKeyRotation: { members: ['KeyId', 'RotationPeriodInDays'], run: (p, who) => this.setRotation(p, who, 'EnableKeyRotation') },
      DisableKeyRotation: { members: ['KeyId'], run: (p, who) => this.setRotation(p, who, 'DisableKeyRotation') },
      CancelKeyDeletion: { members: ['KeyId'], run: (p, who) => this.cancelKeyDeletion(p, who) },
    };
  }

  run({ operation, input, principal }: OperationCall): Answer {
    const entry = Object.hasOwn(this.table, operation) ? this.table[operation] : undefined;
    if (entry === undefined) {
      throw new KmsFailure('UnknownOperationException', `The development KMS has no operation ${operation}.`);
    }
    const unknown = Object.keys(input).find((member) => !entry.members.includes(member));
    // AWS ignores unknown members; a double that does so would hide that it does less than AWS.
    if (unknown !== undefined) throw validationFailure(unknown, `The development KMS does not support it for ${operation}`);
    return entry.run(new Parameters(input), principal);
  }

  private encrypt(p: Parameters, who: Principal): Answer {
    const plaintext = p.bytes('Plaintext', 4096);
    const key = this.usableKey(p, who, 'Encrypt');
    return {
      CiphertextBlob: seal(key.keyId, material(key), plaintext, context(p)).toString('base64'),
      KeyId: this.store.arnOf(key),
      EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    };
  }

  private decrypt(p: Parameters, who: Principal): Answer {
    const blob = p.bytes('CiphertextBlob', 6144);
    const keyId = keyIdOf(blob);
    // A blob that is none of ours still has its key checked first, when the caller names one.
    const reference = p.optionalText('KeyId') ?? keyId;
    if (reference === null || reference === undefined) throw invalidCiphertext();
    const key = this.usableKey(p, who, 'Decrypt', reference);
    if (keyId === null) throw invalidCiphertext();
    if (keyId !== key.keyId) {
      throw new KmsFailure('IncorrectKeyException', 'The key ID in the request does not identify a CMK that can perform this operation.');
    }
    const plaintext = open(material(key), blob, context(p));
    if (plaintext === null) throw invalidCiphertext();
    return { KeyId: this.store.arnOf(key), Plaintext: plaintext.toString('base64'), EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' };
  }

  private generateDataKey(p: Parameters, who: Principal, operation: string): Answer {
    const spec = p.optionalText('KeySpec');
    const count = p.optionalInteger('NumberOfBytes', 1, 1024);
    if ((spec === undefined) === (count === undefined)) {
      throw new KmsFailure('ValidationException', 'Please specify either number of bytes or key spec.');
    }
    if (spec !== undefined && spec !== 'AES_256' && spec !== 'AES_128')
      throw validationFailure('keySpec', 'Member must be AES_256 or AES_128');
    const plaintext = randomBytes(count ?? (spec === 'AES_128' ? 16 : 32));
    const key = this.usableKey(p, who, operation);
    return {
      CiphertextBlob: seal(key.keyId, material(key), plaintext, context(p)).toString('base64'),
      KeyId: this.store.arnOf(key),
      ...(operation === 'GenerateDataKey' && { Plaintext: plaintext.toString('base64') }),
    };
  }

  private describeKey(p: Parameters, who: Principal): Answer {
    return { KeyMetadata: this.metadata(this.permittedKey(p.text('KeyId'), who, 'DescribeKey', p)) };
  }

  private createKey(p: Parameters, who: Principal): Answer {
    this.assertPermitted(who, 'CreateKey', null);
    const keySpec = p.optionalText('KeySpec') ?? p.optionalText('CustomerMasterKeySpec') ?? 'SYMMETRIC_DEFAULT';
    const keyUsage = p.optionalText('KeyUsage') ?? 'ENCRYPT_DECRYPT';
    const origin = p.optionalText('Origin') ?? 'AWS_KMS';
    if (origin !== 'AWS_KMS' && origin !== 'EXTERNAL') {
      throw new KmsFailure('UnsupportedOperationException', `The development KMS has no origin ${origin}.`);
    }
    if (p.optionalFlag('MultiRegion') === true) {
      throw new KmsFailure('UnsupportedOperationException', 'The development KMS has no multi-Region keys.');
    }
    const description = p.optionalText('Description') ?? '';
    return { KeyMetadata: this.metadata(this.store.createKey({ region: who.region, keySpec, keyUsage, origin, description })) };
  }

  private createAlias(p: Parameters, who: Principal): Answer {
    const name = aliasName(p);
    const key = this.keyByItself(p.text('TargetKeyId'), who, 'CreateAlias');
    const { region } = who;
    if (this.store.aliases.some((alias) => alias.name === name && alias.region === region)) {
      throw new KmsFailure('AlreadyExistsException', `An alias with the name ${this.store.aliasArnOf({ region, name })} already exists`);
    }
    this.store.change((state) => state.aliases.push({ region, name, keyId: key.keyId }));
    return {};
  }

  private updateAlias(p: Parameters, who: Principal): Answer {
    const name = aliasName(p);
    const { keyId } = this.keyByItself(p.text('TargetKeyId'), who, 'UpdateAlias');
    this.store.resolve(name, who.region);
    this.store.change((state) => {
      for (const alias of state.aliases) if (alias.name === name && alias.region === who.region) alias.keyId = keyId;
    });
    return {};
  }

  private deleteAlias(p: Parameters, who: Principal): Answer {
    const name = aliasName(p);
    this.permittedKey(name, who, 'DeleteAlias');
    this.store.change((state) => {
      state.aliases = state.aliases.filter((alias) => alias.name !== name || alias.region !== who.region);
    });
    return {};
  }

  private listAliases(p: Parameters, who: Principal): Answer {
    this.assertPermitted(who, 'ListAliases', null);
    const reference = p.optionalText('KeyId');
    const keyId = reference === undefined ? null : this.store.resolve(reference, who.region).keyId;
    const limit = p.optionalInteger('Limit', 1, 100) ?? 50;
    const marker = p.optionalText('Marker') ?? '';
    const all = this.store.aliases
      .filter((alias) => alias.region === who.region && (keyId === null || alias.keyId === keyId) && alias.name > marker)
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const shown = all.slice(0, limit);
    const truncated = all.length > limit;
    return {
      Aliases: shown.map((alias) => ({ AliasName: alias.name, AliasArn: this.store.aliasArnOf(alias), TargetKeyId: alias.keyId })),
      Truncated: truncated,
      ...(truncated && { NextMarker: shown.at(-1)?.name }),
    };
  }

  private setState(p: Parameters, who: Principal, operation: string, state: 'Enabled' | 'Disabled'): Answer {
    const key = this.keyByItself(p.text('KeyId'), who, operation);
    if (key.state !== 'Enabled' && key.state !== 'Disabled') throw invalidState(this.store.arnOf(key), key.state);
    this.store.change(() => {
      key.state = state;
    });
    return {};
  }

  private scheduleKeyDeletion(p: Parameters, who: Principal): Answer {
    const days = p.optionalInteger('PendingWindowInDays', 7, 30) ?? 30;
    const key = this.keyByItself(p.text('KeyId'), who, 'ScheduleKeyDeletion');
    if (key.state === 'PendingDeletion') throw invalidState(this.store.arnOf(key), key.state);
    this.store.change(() => {
      key.state = 'PendingDeletion';
      key.deletionDate = this.clock.now().getTime() + days * DAY_MS;
    });
    return {
      KeyId: this.store.arnOf(key),
      DeletionDate: (key.deletionDate ?? 0) / 1000,
      KeyState: key.state,
      PendingWindowInDays: days,
    };
  }

  private cancelKeyDeletion(p: Parameters, who: Principal): Answer {
    const key = this.keyByItself(p.text('KeyId'), who, 'CancelKeyDeletion');
    if (key.state !== 'PendingDeletion') throw invalidState(this.store.arnOf(key), key.state);
    this.store.change(() => {
      // As in AWS: the key comes back disabled.
      key.state = 'Disabled';
      key.deletionDate = null;
    });
    return { KeyId: this.store.arnOf(key) };
  }

  private getKeyRotationStatus(p: Parameters, who: Principal): Answer {
    const key = this.rotatingKey(p, who, 'GetKeyRotationStatus');
    const rotation = key.state === 'PendingDeletion' ? null : (key.rotation ?? null);
    return {
      KeyId: this.store.arnOf(key),
      KeyRotationEnabled: rotation !== null,
      ...(rotation !== null && {
        RotationPeriodInDays: rotation.periodDays,
        NextRotationDate: nextRotation(rotation, this.clock.now().getTime()) / 1000,
      }),
    };
  }

  private setRotation(p: Parameters, who: Principal, operation: 'EnableKeyRotation' | 'DisableKeyRotation'): Answer {
    const key = this.rotatingKey(p, who, operation);
    const periodDays = p.optionalInteger('RotationPeriodInDays', 90, 2560) ?? 365;
    const arn = this.store.arnOf(key);
    if (key.state === 'Disabled') throw new KmsFailure('DisabledException', `${arn} is disabled.`);
    if (key.state !== 'Enabled') throw invalidState(arn, key.state);
    this.store.change(() => {
      key.rotation = operation === 'EnableKeyRotation' ? { periodDays, since: this.clock.now().getTime() } : null;
    });
    return {};
  }

  private rotatingKey(p: Parameters, who: Principal, operation: string): DevelopmentKey {
    const key = this.keyByItself(p.text('KeyId'), who, operation);
    if (key.keySpec !== 'SYMMETRIC_DEFAULT' || key.origin !== 'AWS_KMS') {
      const arn = this.store.arnOf(key);
      throw new KmsFailure('UnsupportedOperationException', `${arn} origin is ${key.origin} which is not valid for this operation.`);
    }
    return key;
  }

  /** For operations that do not accept an alias. */
  private keyByItself(reference: string, who: Principal, operation: string): DevelopmentKey {
    if (reference.startsWith('alias/') || reference.includes(':alias/')) {
      throw new KmsFailure('NotFoundException', `Invalid keyId '${reference}'`);
    }
    return this.permittedKey(reference, who, operation);
  }

  private permittedKey(reference: string, who: Principal, operation: string, p?: Parameters): DevelopmentKey {
    const key = this.store.resolve(reference, who.region);
    this.assertPermitted(who, operation, key);
    const tokens = p?.optionalList('GrantTokens') ?? [];
    if (tokens.length > 0) throw new KmsFailure('InvalidGrantTokenException', 'The development KMS has no grants.');
    return key;
  }

  private usableKey(p: Parameters, who: Principal, operation: string, reference = p.text('KeyId')): DevelopmentKey {
    const key = this.permittedKey(reference, who, operation, p);
    const arn = this.store.arnOf(key);
    if (key.state === 'Disabled') throw new KmsFailure('DisabledException', `${arn} is disabled.`);
    if (key.state !== 'Enabled' && key.state !== 'Updating') throw invalidState(arn, key.state);
    const algorithm = p.optionalText('EncryptionAlgorithm') ?? 'SYMMETRIC_DEFAULT';
    if (key.keyUsage !== 'ENCRYPT_DECRYPT') {
      throw new KmsFailure('InvalidKeyUsageException', `${arn} key usage is ${key.keyUsage} which is not valid for ${operation}.`);
    }
    if (key.keySpec !== 'SYMMETRIC_DEFAULT' || algorithm !== 'SYMMETRIC_DEFAULT') {
      throw new KmsFailure(
        'InvalidKeyUsageException',
        `Algorithm ${algorithm} and key spec ${key.keySpec} are incompatible with each other.`,
      );
    }
    if (p.optionalFlag('DryRun') === true) {
      throw new KmsFailure('DryRunOperationException', 'The request would have succeeded, but the DryRun option is set.', 412);
    }
    return key;
  }

  private assertPermitted(who: Principal, operation: string, key: DevelopmentKey | null): void {
    const denied = this.store.denials.some(
      (denial) =>
        (denial.accessKeyId === undefined || denial.accessKeyId === who.accessKey.accessKeyId) &&
        (denial.keyId === undefined || denial.keyId === key?.keyId) &&
        (denial.operations === undefined || denial.operations.includes(operation)),
    );
    if (denied) throw accessDenied(this.store, who, operation, key);
  }

  private metadata(key: DevelopmentKey): Answer {
    return {
      AWSAccountId: this.store.accountId,
      Arn: this.store.arnOf(key),
      KeyId: key.keyId,
      CreationDate: key.createdAt / 1000,
      CustomerMasterKeySpec: key.keySpec,
      KeySpec: key.keySpec,
      KeyUsage: key.keyUsage,
      KeyManager: 'CUSTOMER',
      KeyState: key.state,
      Enabled: key.state === 'Enabled',
      Origin: key.origin,
      MultiRegion: false,
      Description: key.description,
      ...(key.deletionDate !== null && { DeletionDate: key.deletionDate / 1000 }),
      ...(key.keySpec === 'SYMMETRIC_DEFAULT' && { EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'] }),
    };
  }
}

export function accessDenied(store: KmsStore, who: Principal, operation: string, key: DevelopmentKey | null): KmsFailure {
  const resource = key === null ? '*' : store.arnOf(key);
  const user = `arn:aws:iam::${store.accountId}:user/${who.accessKey.userName}`;
  return new KmsFailure(
    'AccessDeniedException',
    `User: ${user} is not authorized to perform: kms:${operation} on resource: ${resource} with an explicit deny in a resource-based policy`,
  );
}

function nextRotation(rotation: { readonly periodDays: number; readonly since: number }, nowMs: number): number {
  const periodMs = rotation.periodDays * DAY_MS;
  return rotation.since + periodMs * Math.max(1, Math.ceil((nowMs - rotation.since) / periodMs));
}

const material = (key: DevelopmentKey): Buffer => Buffer.from(key.material, 'base64');
const context = (p: Parameters): EncryptionContext => p.optionalTextMap('EncryptionContext') ?? {};
const invalidCiphertext = (): KmsFailure => new KmsFailure('InvalidCiphertextException', '');

function aliasName(p: Parameters): string {
  const name = p.text('AliasName');
  if (!/^alias\/[a-zA-Z0-9/_-]+$/.test(name)) throw new KmsFailure('InvalidAliasNameException', `Invalid alias name ${name}`);
  if (name.startsWith('alias/aws/')) throw new KmsFailure('NotAuthorizedException', 'Aliases that begin with alias/aws/ are reserved.');
  return name;
}

function invalidState(arn: string, state: DevelopmentKey['state']): KmsFailure {
  const words: Record<DevelopmentKey['state'], string> = {
    PendingDeletion: 'is pending deletion.',
    PendingImport: 'is pending import.',
    Unavailable: 'is unavailable.',
    Creating: 'is creating.',
    Updating: 'is updating.',
    Disabled: 'is disabled.',
    Enabled: 'is enabled.',
  };
  return new KmsFailure('KMSInvalidStateException', `${arn} ${words[state]}`);
}
