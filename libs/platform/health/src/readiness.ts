import { redactText } from '@atrest/platform-logging';

/** What a check found. */
export interface Health {
  readonly ok: boolean;
  /** For operators; anybody who reaches the port may read it. */
  readonly detail?: string;
}

/** Something without which the service cannot work: its database, its event transport. */
export interface ReadinessCheck {
  readonly name: string;
  readonly check: () => Promise<Health>;
}

export interface CheckResult extends Health {
  readonly name: string;
}

/** Runs all checks at once. A check that throws or does not answer within `timeoutMs` has failed; it never fails the others. */
export function runChecks(checks: readonly ReadinessCheck[], timeoutMs: number): Promise<CheckResult[]> {
  return Promise.all(checks.map(async ({ name, check }) => ({ name, ...(await settled(check, timeoutMs)) })));
}

async function settled(check: () => Promise<Health>, timeoutMs: number): Promise<Health> {
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<Health>((resolve) => {
    timer = setTimeout(() => resolve({ ok: false, detail: `no answer within ${timeoutMs} ms` }), timeoutMs);
  });
  try {
    const { ok, detail } = await Promise.race([check(), overdue]);
    return { ok, ...(detail !== undefined && { detail: redactText(detail) }) };
  } catch (error) {
    // The text of an unforeseen error may name hosts and users; its kind is enough here.
    return { ok: false, detail: `the check failed (${error instanceof Error ? error.name : 'unknown error'})` };
  } finally {
    clearTimeout(timer);
  }
}
