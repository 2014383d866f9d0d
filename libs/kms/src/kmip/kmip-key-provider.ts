import {
  certificateEnd,
  CryptographicAlgorithm,
  CryptographicUsage,
  KeyFormatType,
  KmipClient,
  nameOf,
  ObjectType,
  readAttribute,
  State,
  type Attribute,
  type OperationName,
  type RequestPayload,
  type ResponsePayload,
} from '@atrest/kmip';
import type { Metrics } from '@atrest/platform-metrics';
import type { CallLimiters } from '../call-limiter.js';
import { measured } from '../call-metrics.js';
import { IncompleteAnswerError, KmsUsageError, WrappedBlobRefusedError } from '../errors.js';
import type { KeyContext, KeyDescription, KeyProvider, KeyState, WrappedBlob } from '../key-provider.js';
import type { Verdict } from '../verdict.js';
import { assertWrappable, ciphertextFor } from '../wrapped-blob.js';
import { KMIP_MECHANISM, KMIP_OVERHEAD_BYTES, seal, unseal } from './kmip-envelope.js';
import { classifyKmipError } from './kmip-error-classification.js';
import { KmipKeyStateError, KmipKeyTypeError, KmipUnwrapError } from './kmip-key-errors.js';

/** What a project gives us to use its key: what one gives mongod as `--kmip…` options. */
export interface KmipKeySettings {
  /** The unique identifier of the key in the appliance. */
  readonly keyId: string;
  /** Names or addresses of servers with the same keys, tried in this order. */
  readonly hosts: readonly string[];
  /** One for all hosts, as for mongod; IANA's is 5696. */
  readonly port: number;
  /** PEM: who may have signed the servers' certificates. */
  readonly caCertificate: string;
  /** PEM: our certificate with its chain, and its unencrypted private key where `clientKey` does not hold it. */
  readonly clientCertificate: string;
  readonly clientKey?: string;
}

/** What the operator of Atrest decides for every KMIP key. */
export interface KmipKeyProviderOptions {
  readonly limiters: CallLimiters;
  readonly metrics: Metrics;
  /** Whether an address may be connected to. Hosts are a project's setting: without this a project can make us talk to any address of our network. */
  readonly allowAddress?: (address: string) => boolean;
  /** Name resolution, TCP and TLS with one host. 5 s, as MongoDB's servers allow. */
  readonly handshakeTimeoutMs?: number;
  /** One question and its answer. 5 s, as above. */
  readonly answerTimeoutMs?: number;
  /** One request over all hosts. 10 s: two make a check, which has 30. */
  readonly requestTimeoutMs?: number;
  readonly now?: () => Date;
}

/**
 * Requests per second that we assume of an appliance. KMIP knows no quota and vendors publish none; PyKMIP, the slowest server known,
 * answers some hundreds. Of this, the limiter takes its share.
 */
export const kmipRequestQuotaOf = (): number => 500;

/**
 * A customer key in an appliance that speaks KMIP. Each use asks the server for the key's state and for its material, which is wiped
 * afterwards: a key that was kept would hide that it was revoked.
 */
export class KmipKeyProvider implements KeyProvider {
  readonly provider = 'KMIP';
  private readonly client: KmipClient;
  private readonly appliance: string;
  private closed = false;

  constructor(
    private readonly settings: KmipKeySettings,
    private readonly options: KmipKeyProviderOptions,
  ) {
    const { hosts, port, caCertificate, clientCertificate, clientKey } = settings;
    if (hosts.length === 0) throw new KmsUsageError('A KMIP key needs at least one host.');
    const { handshakeTimeoutMs, answerTimeoutMs, requestTimeoutMs = 10_000, allowAddress, now } = options;
    this.appliance = `${hosts.join(',')}:${port}`;
    this.client = new KmipClient({
      hosts: hosts.map((host) => ({ host, port })),
      ca: caCertificate,
      certificate: clientCertificate,
      ...(clientKey !== undefined && { key: clientKey }),
      requestTimeoutMs,
      ...(handshakeTimeoutMs !== undefined && { handshakeTimeoutMs }),
      ...(answerTimeoutMs !== undefined && { answerTimeoutMs }),
      ...(allowAddress !== undefined && { allowAddress }),
      ...(now !== undefined && { now }),
    });
  }

  /** When the client certificate ends, and with it every use of the key; null when it cannot be read. */
  get credentialsExpireAt(): Date | null {
    return certificateEnd(this.settings.clientCertificate);
  }

  async wrap(plaintext: Uint8Array, context: KeyContext): Promise<WrappedBlob> {
    assertWrappable(plaintext, context);
    const { keyId } = this.settings;
    const material = await this.activeMaterial(keyId);
    const ciphertext = seal(material, keyId, plaintext, context);
    material.fill(0);
    return {
      format: 1,
      provider: this.provider,
      keyId,
      // KMIP's unique identifiers are never given to another object, and rotation makes a new one.
      resolvedKeyId: keyId,
      keyVersion: null,
      mechanism: KMIP_MECHANISM,
      context: { projectId: context.projectId, purpose: context.purpose },
      ciphertext: ciphertext.toString('base64'),
    };
  }

  async unwrap(blob: WrappedBlob, context: KeyContext): Promise<Uint8Array> {
    const ciphertext = ciphertextFor(blob, { provider: this.provider, mechanism: KMIP_MECHANISM, context });
    if (ciphertext.length <= KMIP_OVERHEAD_BYTES) throw new WrappedBlobRefusedError('ciphertext', 'long enough');
    const keyId = blob.resolvedKeyId;
    const material = await this.activeMaterial(keyId);
    const plaintext = unseal(material, keyId, ciphertext, context);
    material.fill(0);
    if (plaintext === null) throw new KmipUnwrapError(keyId);
    return plaintext;
  }

  async describe(): Promise<KeyDescription> {
    const { keyId } = this.settings;
    const attributes = await this.attributesOf(keyId, [
      'State',
      'Cryptographic Algorithm',
      'Cryptographic Length',
      'Cryptographic Usage Mask',
      'Initial Date',
      'Deactivation Date',
    ]);
    const algorithm = readAttribute(attributes, 'Cryptographic Algorithm');
    const length = readAttribute(attributes, 'Cryptographic Length');
    const mask = readAttribute(attributes, 'Cryptographic Usage Mask');
    return {
      keyId,
      resolvedKeyId: keyId,
      keyVersion: null,
      state: KEY_STATES[readAttribute(attributes, 'State') ?? 0] ?? 'UNKNOWN',
      usage: mask === undefined ? null : usageText(mask),
      algorithm: algorithm === undefined ? null : `${nameOf(CryptographicAlgorithm, algorithm)}${length === undefined ? '' : `-${length}`}`,
      createdAt: readAttribute(attributes, 'Initial Date') ?? null,
      // From then on the key may no longer be used: KMIP's way to announce its end.
      deletionDate: readAttribute(attributes, 'Deactivation Date') ?? null,
    };
  }

  verdict(error: unknown): Verdict {
    return classifyKmipError(error);
  }

  fresh(): KmipKeyProvider {
    return new KmipKeyProvider(this.settings, this.options);
  }

  close(): void {
    this.closed = true;
    this.client.close();
  }

  /** Asks for the state first: servers give the material of a key in every state. */
  private async activeMaterial(keyId: string): Promise<Uint8Array> {
    const attributes = await this.attributesOf(keyId, ['State', 'Object Type', 'Cryptographic Algorithm', 'Cryptographic Length']);
    const state = readAttribute(attributes, 'State');
    if (state === undefined) throw new IncompleteAnswerError('GetAttributes', 'State');
    if (state !== State.Active) throw new KmipKeyStateError(keyId, state);
    assertAes256(keyId, {
      objectType: readAttribute(attributes, 'Object Type'),
      algorithm: readAttribute(attributes, 'Cryptographic Algorithm'),
      length: readAttribute(attributes, 'Cryptographic Length'),
    });
    // No format is asked for: servers that have only the one refuse the question for it.
    return materialOf(keyId, await this.ask('Get', { uniqueIdentifier: keyId }));
  }

  private async attributesOf(keyId: string, names: readonly string[]): Promise<readonly Attribute[]> {
    const answer = await this.ask('GetAttributes', { uniqueIdentifier: keyId, names });
    if (answer.uniqueIdentifier !== keyId) throw new IncompleteAnswerError('GetAttributes', 'answer for the key that was asked for');
    return answer.attributes;
  }

  private async ask<O extends OperationName>(operation: O, payload: RequestPayload<O>): Promise<ResponsePayload<O>> {
    if (this.closed) throw new KmsUsageError('This key provider was closed.');
    await this.options.limiters.acquire(this.appliance, 'KMIP');
    const { metrics } = this.options;
    return measured(metrics, { provider: this.provider, operation, verdict: (error) => this.verdict(error) }, () =>
      this.client.request(operation, payload),
    );
  }
}

const KEY_STATES: Readonly<Record<number, KeyState>> = {
  [State.PreActive]: 'NOT_YET_ACTIVE',
  [State.Active]: 'ENABLED',
  [State.Deactivated]: 'DISABLED',
  [State.Compromised]: 'DISABLED',
  [State.Destroyed]: 'DESTROYED',
  [State.DestroyedCompromised]: 'DESTROYED',
};

const KEY_BITS = 256;

/** Refuses what is known to be something else; what the server leaves out is found in the key itself. */
function assertAes256(
  keyId: string,
  found: { objectType?: number | undefined; algorithm?: number | undefined; length?: number | undefined },
): void {
  const { objectType = ObjectType.SymmetricKey, algorithm = CryptographicAlgorithm.AES, length = KEY_BITS } = found;
  if (objectType !== ObjectType.SymmetricKey || algorithm !== CryptographicAlgorithm.AES || length !== KEY_BITS) {
    throw new KmipKeyTypeError(keyId, found);
  }
}

function materialOf(keyId: string, answer: ResponsePayload<'Get'>): Uint8Array {
  if (answer.uniqueIdentifier !== keyId) throw new IncompleteAnswerError('Get', 'answer for the key that was asked for');
  assertAes256(keyId, { objectType: answer.objectType });
  const block = answer.symmetricKey?.block;
  if (block?.value === undefined) throw new IncompleteAnswerError('Get', 'key value');
  assertAes256(keyId, { algorithm: block.algorithm, length: block.length });
  if (block.wrapping !== undefined || block.value instanceof Uint8Array) throw new KmipKeyTypeError(keyId, { other: 'it comes wrapped' });
  const { material } = block.value;
  if (block.format !== KeyFormatType.Raw || !(material instanceof Uint8Array)) {
    throw new KmipKeyTypeError(keyId, { other: `its format is ${nameOf(KeyFormatType, block.format)}` });
  }
  // Never padded, never cut.
  if (material.length !== KEY_BITS / 8) throw new KmipKeyTypeError(keyId, { other: `its material has ${material.length} bytes` });
  return material;
}

const usageText = (mask: number): string =>
  Object.entries(CryptographicUsage)
    .filter(([, bit]) => (mask & bit) !== 0)
    .map(([name]) => name)
    .join(', ');
