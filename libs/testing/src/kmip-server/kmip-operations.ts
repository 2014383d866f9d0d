import {
  KeyFormatType,
  makeAttribute,
  NameType,
  nameOf,
  ObjectType,
  QueryFunction,
  readAttribute,
  ResultReason,
  RevocationReasonCode,
  State,
  versionNumber,
  versionOf,
  OPERATIONS,
  type Attribute,
  type FailureItem,
  type KmipVersion,
  type OperationName,
  type RequestItem,
  type SuccessItem,
} from '@atrest/kmip';
import type { KmipKeyStore, StoredKey } from './kmip-key-store.js';

/** The server refuses an operation; what a client then reads. */
export class KmipRefusal extends Error {
  constructor(
    readonly reason: keyof typeof ResultReason,
    message: string,
  ) {
    super(message);
  }
}

/** What an operation runs in. */
export interface OperationContext {
  readonly store: KmipKeyStore;
  /** Common name of the client's certificate. */
  readonly client: string;
  readonly versions: readonly KmipVersion[];
}

/** Operations that are answered; others, Encrypt and Decrypt among them, are refused as not supported. */
const ANSWERED = [
  'Query',
  'DiscoverVersions',
  'Create',
  'Locate',
  'Get',
  'GetAttributes',
  'Activate',
  'Revoke',
  'Destroy',
] as const satisfies OperationName[];

/** Answers one item, as a real server would: refusals are answers, not errors. */
export function answerTo(item: RequestItem, context: OperationContext): SuccessItem | FailureItem {
  try {
    return { status: 'Success', ...carryOut(item, context) } as SuccessItem;
  } catch (error) {
    if (!(error instanceof KmipRefusal)) throw error;
    return { status: 'OperationFailed', operation: item.operation, reason: ResultReason[error.reason], message: error.message };
  }
}

function carryOut(item: RequestItem, context: OperationContext): Omit<SuccessItem, 'status'> {
  const { operation } = item;
  switch (item.operation) {
    case 'Query':
      return { operation, payload: query(item.payload.functions) };
    case 'DiscoverVersions': {
      const asked = item.payload.versions.map(versionOf);
      const versions = context.versions.filter((version) => asked.length === 0 || asked.includes(version));
      return { operation, payload: { versions: versions.map(versionNumber) } };
    }
    case 'Create': {
      const { attributes } = item.payload.template;
      const key = context.store.create({ ...created(attributes), owner: context.client, objectType: item.payload.objectType });
      return { operation, payload: { objectType: key.objectType, uniqueIdentifier: key.id } };
    }
    case 'Locate':
      return { operation, payload: { uniqueIdentifiers: located(item.payload.attributes, context) } };
    case 'Get':
      return { operation, payload: gotten(keyOf(item.payload.uniqueIdentifier, context)) };
    case 'GetAttributes': {
      const key = keyOf(item.payload.uniqueIdentifier, context);
      const { names } = item.payload;
      const attributes = attributesOf(key).filter(({ name }) => names.length === 0 || names.includes(name));
      return { operation, payload: { uniqueIdentifier: key.id, attributes } };
    }
    case 'Activate': {
      const key = keyOf(item.payload.uniqueIdentifier, context);
      if (key.state !== 'PreActive')
        throw new KmipRefusal('PermissionDenied', 'The object state is not pre-active and it cannot be activated.');
      key.state = 'Active';
      key.activationDate = new Date();
      return { operation, payload: { uniqueIdentifier: key.id } };
    }
    case 'Revoke': {
      const key = keyOf(item.payload.uniqueIdentifier, context);
      const { code } = item.payload.reason;
      const compromised = code === RevocationReasonCode.KeyCompromise || code === RevocationReasonCode.CACompromise;
      if (!compromised && key.state !== 'Active')
        throw new KmipRefusal('IllegalOperation', 'The object is not active and cannot be revoked.');
      key.state = compromised ? 'Compromised' : 'Deactivated';
      key.deactivationDate = new Date();
      return { operation, payload: { uniqueIdentifier: key.id } };
    }
    case 'Destroy': {
      const key = keyOf(item.payload.uniqueIdentifier, context);
      if (key.state === 'Active') throw new KmipRefusal('PermissionDenied', 'Object is active and cannot be destroyed.');
      context.store.remove(key.id);
      return { operation, payload: { uniqueIdentifier: key.id } };
    }
    case 'Decrypt':
    case 'Encrypt':
    case 'GetAttributeList':
    case 'Register':
      throw new KmipRefusal('OperationNotSupported', `The operation ${item.operation} is not supported.`);
  }
}

function keyOf(id: string | undefined, { store, client }: OperationContext): StoredKey {
  if (id === undefined) throw new KmipRefusal('MissingData', 'No object is named.');
  const key = store.find(id);
  if (key === undefined) throw new KmipRefusal('ItemNotFound', `Could not locate object: ${id}`);
  // The same words as for an object that is not there, as PyKMIP answers.
  if (key.owner !== client) throw new KmipRefusal('PermissionDenied', `Could not locate object: ${id}`);
  if (key.archived) throw new KmipRefusal('ObjectArchived', 'The object is archived.');
  return key;
}

/** Like PyKMIP, in every state: a client that wants only active keys has to ask for the state. */
function gotten(key: StoredKey) {
  if (key.state === 'Destroyed' || key.state === 'DestroyedCompromised')
    throw new KmipRefusal('ObjectDestroyed', 'The object is destroyed.');
  if (key.sensitive) throw new KmipRefusal('Sensitive', 'The key is sensitive and does not leave the server.');
  const block = {
    format: KeyFormatType.Raw,
    value: { material: key.material, attributes: [] },
    algorithm: key.algorithm,
    length: key.length,
  };
  const head = { objectType: key.objectType, uniqueIdentifier: key.id };
  if (key.objectType === ObjectType.SecretData) return { ...head, secretData: { type: 1, block } };
  if (key.objectType === ObjectType.SymmetricKey) return { ...head, symmetricKey: { block } };
  throw new KmipRefusal('FeatureNotSupported', `A ${nameOf(ObjectType, key.objectType)} is not given.`);
}

const nameAttribute = (value: string): Attribute => makeAttribute('Name', { value, type: NameType.UninterpretedTextString });

function attributesOf(key: StoredKey): Attribute[] {
  return [
    makeAttribute('Unique Identifier', key.id),
    ...key.names.map(nameAttribute),
    makeAttribute('Object Type', key.objectType),
    makeAttribute('Cryptographic Algorithm', key.algorithm),
    makeAttribute('Cryptographic Length', key.length),
    makeAttribute('Cryptographic Usage Mask', key.usageMask),
    makeAttribute('State', State[key.state]),
    makeAttribute('Initial Date', key.initialDate),
    ...(key.activationDate === null ? [] : [makeAttribute('Activation Date', key.activationDate)]),
    ...(key.deactivationDate === null ? [] : [makeAttribute('Deactivation Date', key.deactivationDate)]),
  ];
}

function created(attributes: readonly Attribute[]): Partial<StoredKey> {
  const algorithm = readAttribute(attributes, 'Cryptographic Algorithm');
  const length = readAttribute(attributes, 'Cryptographic Length');
  const usageMask = readAttribute(attributes, 'Cryptographic Usage Mask');
  if (algorithm === undefined || length === undefined || usageMask === undefined) {
    throw new KmipRefusal('InvalidField', 'Algorithm, length and usage mask are needed to create a key.');
  }
  if (![128, 192, 256].includes(length)) throw new KmipRefusal('InvalidField', 'The length is not one that the algorithm has.');
  const name = readAttribute(attributes, 'Name');
  return { algorithm, length, usageMask, state: 'PreActive', names: name === undefined ? [] : [name.value] };
}

function located(attributes: readonly Attribute[], { store, client }: OperationContext): string[] {
  const name = readAttribute(attributes, 'Name')?.value;
  const state = readAttribute(attributes, 'State');
  return store
    .all()
    .filter((key) => key.owner === client && (name === undefined || key.names.includes(name)))
    .filter((key) => state === undefined || State[key.state] === state)
    .map(({ id }) => id);
}

function query(functions: readonly number[]) {
  return {
    operations: functions.includes(QueryFunction.QueryOperations) ? ANSWERED.map((name) => OPERATIONS[name].code) : [],
    objectTypes: functions.includes(QueryFunction.QueryObjects) ? [ObjectType.SymmetricKey, ObjectType.SecretData] : [],
    ...(functions.includes(QueryFunction.QueryServerInformation) && { vendor: 'Atrest development KMIP server' }),
    applicationNamespaces: [],
    extensions: [],
    attestationTypes: [],
    randomNumberGenerators: [],
    profiles: [],
    validations: [],
    capabilities: [],
    clientRegistrationMethods: [],
  };
}
