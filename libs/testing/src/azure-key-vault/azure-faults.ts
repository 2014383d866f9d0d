import { randomUUID } from 'node:crypto';
import { z } from 'zod';

/** What a request asks for. `token` and `discovery` go to Entra, the others to a vault. */
export const AZURE_OPERATIONS = [
  'token',
  'discovery',
  'createKey',
  'getKey',
  'updateKey',
  'wrapKey',
  'unwrapKey',
  'deleteKey',
  'getDeletedKey',
  'recoverKey',
  'purgeKey',
] as const;
export type AzureOperation = (typeof AZURE_OPERATIONS)[number];
export type VaultOperation = Exclude<AzureOperation, 'token' | 'discovery'>;

const EffectSchema = z.discriminatedUnion('kind', [
  /** HTTP 429; Azure does not always say when to come back. */
  z.object({ kind: z.literal('throttle'), retryAfterSeconds: z.int().positive().optional() }),
  /** Any error of Key Vault. Without a code: a bare status, as a load balancer sends it. */
  z.object({
    kind: z.literal('error'),
    status: z.int().min(400).max(599),
    code: z.string().optional(),
    innerCode: z.string().optional(),
    message: z.string().default('words of Azure'),
  }),
  /** Any error of Entra by its number. */
  z.object({
    kind: z.literal('aadsts'),
    number: z.int(),
    error: z.string(),
    status: z.int().optional(),
    message: z.string().default('words of Entra.'),
  }),
  /** The request is read and never answered, or the answer stops in the middle. */
  z.object({ kind: z.literal('hang'), phase: z.enum(['before-answer', 'within-answer']).default('before-answer') }),
  /** The connection is reset before the answer or in the middle of it. */
  z.object({ kind: z.literal('reset'), phase: z.enum(['before-answer', 'within-answer']).default('before-answer') }),
  /** A web page in place of an answer: a captive portal (200) or a proxy that refuses (403, 407). */
  z.object({ kind: z.literal('web-page'), status: z.int().default(200) }),
  /** Entra's clock differs from the one that an assertion was made by. */
  z.object({ kind: z.literal('clock-skew'), offsetMs: z.int() }),
  /** The vault takes no token for good, as when it does not trust the signing key. */
  z.object({ kind: z.literal('stale-token') }),
  /** Unwrapping succeeds with other bytes. */
  z.object({ kind: z.literal('wrong-plaintext') }),
]);

export const AzureFaultSchema = z.intersection(
  EffectSchema,
  z.object({
    /** Only these operations; all when left out. */
    operations: z.array(z.enum(AZURE_OPERATIONS)).optional(),
    /** How many requests it hits; until cleared when left out. */
    count: z.int().positive().optional(),
  }),
);
/** Something that goes wrong, as a caller writes it. */
export type AzureFault = z.input<typeof AzureFaultSchema>;
export type ActiveAzureFault = z.output<typeof AzureFaultSchema> & { readonly id: string };

/** The faults in force; a request meets the oldest that applies. */
export class AzureFaults {
  private active: { readonly fault: ActiveAzureFault; left: number }[] = [];

  inject(fault: AzureFault): ActiveAzureFault {
    const parsed = { ...AzureFaultSchema.parse(fault), id: randomUUID() };
    this.active.push({ fault: parsed, left: parsed.count ?? Number.POSITIVE_INFINITY });
    return parsed;
  }

  clear(id?: string): void {
    this.active = id === undefined ? [] : this.active.filter(({ fault }) => fault.id !== id);
  }

  /** The fault that this request meets; it is counted as used. */
  take(operation: AzureOperation): ActiveAzureFault | null {
    const met = this.active.find(({ fault }) => fault.operations === undefined || fault.operations.includes(operation));
    if (met === undefined) return null;
    met.left -= 1;
    if (met.left <= 0) this.active = this.active.filter((entry) => entry !== met);
    return met.fault;
  }
}
