import type { ResultReason } from '@atrest/kmip';

/** Something that goes wrong with a connection, before any question is known. */
export type ConnectionFault =
  /** TCP is accepted, and nothing follows. */
  | { readonly kind: 'silent-host' }
  /** TCP is accepted and reset at once. */
  | { readonly kind: 'reset-on-accept' }
  /** The handshake succeeds and the connection ends, as servers do that do not want the client's certificate. */
  | { readonly kind: 'end-after-handshake' };

/** Something that goes wrong with a question. */
export type AnswerFault =
  | { readonly kind: 'refuse'; readonly reason: keyof typeof ResultReason | number; readonly message?: string }
  /** Asynchronous operation, which nobody asked for. */
  | { readonly kind: 'pending' }
  /** The question is read and never answered, or the answer stops in the middle. */
  | { readonly kind: 'hang'; readonly phase?: 'before-answer' | 'within-answer' }
  /** The connection ends instead, or in the middle of the answer. */
  | { readonly kind: 'end'; readonly phase?: 'before-answer' | 'within-answer' }
  | { readonly kind: 'reset' }
  /** The right answer, changed. */
  | { readonly kind: 'mutate'; readonly change: (answer: Buffer) => Uint8Array }
  /** Get succeeds with the material of another key. */
  | { readonly kind: 'other-material' };

export type KmipFault = (ConnectionFault | AnswerFault) & {
  /** Only these operations; all when left out. Connections have none. */
  readonly operations?: readonly string[];
  /** How many times it hits; until cleared when left out. */
  readonly count?: number;
};

const CONNECTION_KINDS: readonly string[] = ['silent-host', 'reset-on-accept', 'end-after-handshake'] satisfies ConnectionFault['kind'][];

/** The faults in force: each connection and each question meets at most one, the oldest that applies. */
export class KmipFaults {
  private active: { readonly fault: KmipFault; left: number }[] = [];

  inject(fault: KmipFault): void {
    this.active.push({ fault, left: fault.count ?? Number.POSITIVE_INFINITY });
  }

  clear(): void {
    this.active = [];
  }

  takeForConnection(): ConnectionFault | null {
    return this.take((fault) => CONNECTION_KINDS.includes(fault.kind)) as ConnectionFault | null;
  }

  takeForAnswer(operation: string): AnswerFault | null {
    const applies = ({ kind, operations }: KmipFault): boolean =>
      !CONNECTION_KINDS.includes(kind) && (operations === undefined || operations.includes(operation));
    return this.take(applies) as AnswerFault | null;
  }

  private take(applies: (fault: KmipFault) => boolean): KmipFault | null {
    const entry = this.active.find(({ fault }) => applies(fault));
    if (entry === undefined) return null;
    entry.left -= 1;
    this.active = this.active.filter(({ left }) => left > 0);
    return entry.fault;
  }
}
