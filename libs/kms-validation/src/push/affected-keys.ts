import { parseAwsKeyArn, parseGcpKeyVersion } from '@atrest/kms';

/** Which keys a notification may be about: names of keys, and beginnings of names. Too many costs a check; too few costs a minute. */
export interface AffectedKeys {
  readonly names: readonly string[];
  readonly prefixes: readonly string[];
}

const NONE: AffectedKeys = { names: [], prefixes: [] };

/** A notification names a handful; whoever sends thousands has something else in mind. */
const MAX_KEYS = 100;

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

const member = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>((found, name) => (isObject(found) ? found[name] : undefined), value);

/** Every text in a value, however deep; depth and number are limited because the value is somebody else's. */
function textsIn(value: unknown, depth = 0): string[] {
  if (depth > 8) return [];
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.slice(0, MAX_KEYS).flatMap((entry) => textsIn(entry, depth + 1));
  return isObject(value)
    ? Object.values(value)
        .slice(0, MAX_KEYS)
        .flatMap((entry) => textsIn(entry, depth + 1))
    : [];
}

/**
 * An EventBridge event: a call of AWS KMS that CloudTrail recorded (DisableKey, ScheduleKeyDeletion, PutKeyPolicy, …) or an event of KMS itself. The ARN of
 * the key is among its resources.
 */
export function affectedByEventBridge(event: unknown): AffectedKeys {
  if (member(event, 'source') !== 'aws.kms') return NONE;
  const texts = [...textsIn(member(event, 'resources')), ...textsIn(member(event, 'detail'))];
  const names = texts.filter((text) => text.length <= 2_048 && parseAwsKeyArn(text)?.kind === 'key');
  return { names: [...new Set(names)].slice(0, MAX_KEYS), prefixes: [] };
}

/** Events of Event Grid: a key vault says that something about one of its keys changed; every version of it is looked at. */
export function affectedByEventGrid(events: unknown): AffectedKeys {
  const list = Array.isArray(events) ? events.slice(0, MAX_KEYS) : [events];
  const prefixes = list.flatMap((event) => {
    const type = member(event, 'eventType') ?? member(event, 'type');
    if (typeof type !== 'string' || !type.startsWith('Microsoft.KeyVault.')) return [];
    const id = member(event, 'data', 'Id') ?? member(event, 'data', 'id');
    const match = typeof id === 'string' ? /^https:\/\/([a-z0-9.-]{1,253})\/keys\/([a-z0-9-]{1,127})(?:\/|$)/i.exec(id) : null;
    return match === null ? [] : [`https://${match[1]!.toLowerCase()}/keys/${match[2]!}/`];
  });
  return { names: [], prefixes: [...new Set(prefixes)] };
}

/** A message of Pub/Sub with an entry of the audit log of Cloud KMS: a version, or the key of versions. */
export function affectedByPubSub(push: unknown): AffectedKeys {
  const data = member(push, 'message', 'data');
  if (typeof data !== 'string' || data.length > 1_000_000) return NONE;
  const entry = parsed(Buffer.from(data, 'base64').toString('utf8'));
  const name = member(entry, 'protoPayload', 'resourceName');
  if (typeof name !== 'string' || name.length > 2_048) return NONE;
  if (parseGcpKeyVersion(name) !== null) return { names: [name], prefixes: [] };
  return parseGcpKeyVersion(`${name}/cryptoKeyVersions/1`) === null ? NONE : { names: [], prefixes: [`${name}/cryptoKeyVersions/`] };
}

/** JSON that somebody else wrote; undefined when it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
