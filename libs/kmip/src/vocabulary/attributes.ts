import type { TtlvType } from '../ttlv/item.js';
import type { KmipVersion } from './versions.js';

/** What is known of an attribute. In KMIP 1.x it is named by text, and its value has the tag AttributeValue whatever it is. */
export interface AttributeFacts {
  readonly type: TtlvType;
  /** A server must not send it to a client of an older version: decoders fail on attributes they do not know. */
  readonly since: KmipVersion;
}

const attribute = <Type extends TtlvType>(type: Type, since: KmipVersion = '1.0') => ({ type, since });

/** Attributes of KMIP 1.0 to 1.4 that keys have (KMIP 1.4, section 3), by their exact names. */
export const ATTRIBUTES = {
  'Unique Identifier': attribute('TextString'),
  Name: attribute('Structure'),
  'Object Type': attribute('Enumeration'),
  'Cryptographic Algorithm': attribute('Enumeration'),
  'Cryptographic Length': attribute('Integer'),
  'Cryptographic Parameters': attribute('Structure'),
  'Certificate Type': attribute('Enumeration'),
  'Operation Policy Name': attribute('TextString'),
  'Cryptographic Usage Mask': attribute('Integer'),
  'Lease Time': attribute('Interval'),
  State: attribute('Enumeration'),
  'Initial Date': attribute('DateTime'),
  'Activation Date': attribute('DateTime'),
  'Process Start Date': attribute('DateTime'),
  'Protect Stop Date': attribute('DateTime'),
  'Deactivation Date': attribute('DateTime'),
  'Destroy Date': attribute('DateTime'),
  'Compromise Occurrence Date': attribute('DateTime'),
  'Compromise Date': attribute('DateTime'),
  'Revocation Reason': attribute('Structure'),
  'Archive Date': attribute('DateTime'),
  'Object Group': attribute('TextString'),
  Link: attribute('Structure'),
  'Contact Information': attribute('TextString'),
  'Last Change Date': attribute('DateTime'),
  Fresh: attribute('Boolean', '1.1'),
  'Alternative Name': attribute('Structure', '1.2'),
  'Key Value Present': attribute('Boolean', '1.2'),
  'Key Value Location': attribute('Structure', '1.2'),
  'Original Creation Date': attribute('DateTime', '1.2'),
  'Random Number Generator': attribute('Structure', '1.3'),
  'PKCS#12 Friendly Name': attribute('TextString', '1.4'),
  Description: attribute('TextString', '1.4'),
  Comment: attribute('TextString', '1.4'),
  Sensitive: attribute('Boolean', '1.4'),
  'Always Sensitive': attribute('Boolean', '1.4'),
  Extractable: attribute('Boolean', '1.4'),
  'Never Extractable': attribute('Boolean', '1.4'),
} as const satisfies Readonly<Record<string, AttributeFacts>>;

/** Other names are allowed too: servers add their own, and `x-…` and `y-…` are custom attributes. */
export type AttributeName = keyof typeof ATTRIBUTES;
