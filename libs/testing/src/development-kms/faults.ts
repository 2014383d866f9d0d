import { randomUUID } from 'node:crypto';
import { z } from 'zod';

const EffectSchema = z.discriminatedUnion('kind', [
  /** HTTP 400 ThrottlingException. */
  z.object({ kind: z.literal('throttle') }),
  /** Any error answer; without a name a 5xx without a body, as a broken load balancer sends it. */
  z.object({ kind: z.literal('error'), status: z.int().min(400).max(599), name: z.string().optional(), message: z.string().optional() }),
  /** The request is read and never answered, or the answer stops in the middle. */
  z.object({ kind: z.literal('hang'), phase: z.enum(['before-answer', 'within-answer']).default('before-answer') }),
  /** The connection is reset after so many bytes of the answer. */
  z.object({ kind: z.literal('reset'), afterBytes: z.int().nonnegative().default(0) }),
  z.object({ kind: z.literal('access-denied') }),
  /** The server's clock differs from the real one; `hideDate` leaves the Date header out, so that the SDK cannot correct itself. */
  z.object({ kind: z.literal('clock-skew'), offsetMs: z.int(), hideDate: z.boolean().default(false) }),
  z.object({ kind: z.literal('latency'), ms: z.int().min(0).max(600_000) }),
  /** Decrypt succeeds with other bytes. */
  z.object({ kind: z.literal('wrong-plaintext') }),
  /** HTTP 200 with a web page: a captive portal. */
  z.object({ kind: z.literal('web-page') }),
]);

export const FaultSchema = z.intersection(
  EffectSchema,
  z.object({
    /** Only these operations, e.g. `Decrypt`; all when left out. */
    operations: z.array(z.string()).optional(),
    /** Only requests that name this key id or end in it; all when left out. */
    keyId: z.string().optional(),
    /** How many requests it hits; until cleared when left out. */
    count: z.int().positive().optional(),
  }),
);
/** Something that goes wrong, as a caller writes it. */
export type Fault = z.input<typeof FaultSchema>;
export type ActiveFault = z.output<typeof FaultSchema> & { readonly id: string };

/** The faults in force. Each request meets at most one, the oldest that applies, except latency, which adds to any other. */
export class Faults {
  private active: { fault: ActiveFault; left: number }[] = [];

  inject(fault: Fault): ActiveFault {
    const parsed = FaultSchema.parse(fault);
    const active: ActiveFault = { ...parsed, id: randomUUID() };
    this.active.push({ fault: active, left: parsed.count ?? Number.POSITIVE_INFINITY });
    return active;
  }

  clear(id?: string): void {
    this.active = id === undefined ? [] : this.active.filter(({ fault }) => fault.id !== id);
  }

  list(): ActiveFault[] {
    return this.active.map(({ fault }) => fault);
  }

  /** The faults that this request meets; they are counted as used. */
  take(operation: string, keyReference: string | null): { latencyMs: number; effect: ActiveFault | null } {
    let latencyMs = 0;
    let effect: ActiveFault | null = null;
    for (const entry of this.active) {
      const { fault } = entry;
      if (fault.operations !== undefined && !fault.operations.includes(operation)) continue;
      if (fault.keyId !== undefined && !(keyReference ?? '').endsWith(fault.keyId)) continue;
      if (fault.kind === 'latency') latencyMs += fault.ms;
      else if (effect === null) effect = fault;
      else continue;
      entry.left -= 1;
    }
    this.active = this.active.filter(({ left }) => left > 0);
    return { latencyMs, effect };
  }
}
