import type { Evidence } from '@atrest/contracts';
import {
  checkCanary,
  transient,
  withTransientRetries,
  type Canary,
  type KeyContext,
  type KeyDescription,
  type KeyProvider,
  type TransientRetryOptions,
  type Verdict,
} from '@atrest/kms';
import type { Clock } from '@atrest/platform-time';
import type { ProviderBinding, ProviderSettings } from './providers/provider-binding.js';
import type { Finding } from './validity-policy.js';

/** What one check is about: a key, reached with credentials that the provider object holds. Nothing in it names a configuration. */
export interface KeyToCheck {
  readonly binding: Pick<ProviderBinding, 'attribute' | 'keyOf' | 'namesAlias' | 'wrapAdvice'>;
  readonly settings: ProviderSettings;
  readonly canary: Canary;
  readonly context: KeyContext;
  /** A fresh wrap is due as well. */
  readonly wrapDue: boolean;
  /** The provider is to be asked what it says of the key, which proves nothing and may be refused. */
  readonly describeDue: boolean;
}

/** What one check saw. */
export interface KeyObservation {
  readonly evidence: Evidence;
  readonly findings: readonly Finding[];
  /** When the key was seen to wrap; null when that was not tried or not proven. */
  readonly wrapProvenAt: Date | null;
  /** What the provider says of the key; null when it was not asked or did not tell. */
  readonly description: KeyDescription | null;
  readonly describedAt: Date | null;
}

export interface KeyCheckOptions {
  readonly clock: Clock;
  /** Who looks; part of the evidence. */
  readonly observer: string;
  /** The whole check takes no longer, in milliseconds. */
  readonly timeLimitMs: number;
  /** One request to the KMS takes no longer, in milliseconds: the adapter's own limit. */
  readonly callLimitMs: number;
  /** Of the retries while the verdict is transient. */
  readonly retries: Pick<TransientRetryOptions, 'sleep' | 'random' | 'tries' | 'baseMs'>;
}

/** Evidence as events carry it. */
export function toEvidence(verdict: Verdict, at: Date, observer: string): Evidence {
  const { kind, reason, errorName, message, httpStatus, requestId } = verdict;
  return { verdict: kind, reason, errorName, message, httpStatus, requestId, at: at.toISOString(), observer };
}

/**
 * Looks once at a customer key: unwraps the canary, and where that works and a wrap is due, wraps. It depends on the key and its
 * credentials alone, so that one observation serves every configuration on the same key. It does not reject for what the provider does, and it
 * touches no database.
 */
export async function checkKey(provider: KeyProvider, key: KeyToCheck, options: KeyCheckOptions): Promise<KeyObservation> {
  const { clock, observer, timeLimitMs, callLimitMs } = options;
  const wraps = key.wrapDue || key.binding.namesAlias(key.settings);
  // A wrap that hangs must not cost the unwrap its time: what counts is the unwrap.
  const budgetMs = timeLimitMs - (wraps ? callLimitMs : 0);
  const beganAt = clock.now().getTime();
  const verdict = await withTransientRetries(
    () => checkCanary(provider, key.canary, key.context),
    (result) => result,
    { clock, ...options.retries, budgetMs, tryMs: callLimitMs },
  );
  const at = clock.now();
  const evidence = toEvidence(verdict, at, observer);
  const findings = findingsOf(verdict, at);
  const wrap = verdict.kind === 'usable' && wraps ? await checkWrap(provider, key, clock) : { findings: [], provenAt: null };
  // While the KMS cannot be asked there is nothing to learn; a key that was just refused may have a date to tell. It takes up to two requests, which
  // must not cost the verdict: a check that runs out of time has learnt nothing.
  const leftMs = timeLimitMs - (clock.now().getTime() - beganAt);
  const asked = key.describeDue && verdict.kind !== 'transient' && leftMs >= 2 * callLimitMs;
  const description = asked ? await describeKey(provider) : null;
  return {
    evidence,
    findings: [...findings, ...wrap.findings],
    wrapProvenAt: wrap.provenAt,
    description,
    describedAt: asked ? clock.now() : null,
  };
}

/** Needs a permission of its own, so a refusal says nothing. */
async function describeKey(provider: KeyProvider): Promise<KeyDescription | null> {
  try {
    return await provider.describe();
  } catch (error) {
    // Classified for the metrics of the adapter only.
    provider.verdict(error);
    return null;
  }
}

const NOTHING_MORE = { wrapProvenAt: null, description: null, describedAt: null };

/** A check that our own limit ended. Nothing was learnt about the key. */
export function outOfTime(limitMs: number, at: Date, observer: string): KeyObservation {
  const verdict = transient('TIMEOUT', { errorName: 'CheckTimeLimit', message: `The check was not over after ${limitMs} ms.` });
  return { evidence: toEvidence(verdict, at, observer), findings: [], ...NOTHING_MORE };
}

/** A check that could not begin for a reason of ours, e.g. a sealing key that is not configured. Nothing was learnt about the key. */
export function notBegun(error: unknown, at: Date, observer: string): KeyObservation {
  const errorName = error instanceof Error ? error.name : typeof error;
  const verdict = transient('UNCLASSIFIED', { errorName, message: 'The check could not begin; see the log of the observer.' });
  return { evidence: toEvidence(verdict, at, observer), findings: findingsOf(verdict, at), ...NOTHING_MORE };
}

/** A wrap that fails stops nothing: what was wrapped can still be read. A wrap under an alias shows whether the alias was moved. */
async function checkWrap(provider: KeyProvider, key: KeyToCheck, clock: Clock): Promise<{ findings: Finding[]; provenAt: Date | null }> {
  try {
    const blob = await provider.wrap(Buffer.alloc(32), key.context);
    const at = clock.now();
    const expected = key.canary.blob.resolvedKeyId;
    return { findings: blob.resolvedKeyId === expected ? [] : [aliasMoved(key, expected, blob.resolvedKeyId, at)], provenAt: at };
  } catch (error) {
    const verdict = provider.verdict(error);
    // A transient failure is tried again with the next check.
    return { findings: verdict.kind === 'definitive' ? [wrapRefused(key, verdict, clock.now())] : [], provenAt: null };
  }
}

function aliasMoved(key: KeyToCheck, expected: string, found: string, at: Date): Finding {
  const detail =
    `${key.binding.keyOf(key.settings).keyId} now names ${found}. What is stored is wrapped by ${expected}, which still unwraps, so nothing is ` +
    `stopped. If the move is meant, PATCH ${key.binding.attribute} with the new key; keep the old one enabled until then.`;
  return { key: found, kind: 'ALIAS_MOVED', detail, at: at.toISOString() };
}

function wrapRefused(key: KeyToCheck, verdict: Verdict, at: Date): Finding {
  const said = [verdict.errorName, verdict.message].filter((part) => part !== null).join(': ');
  const detail = `The key still unwraps, so nothing is stopped, but it refuses to wrap (${verdict.reason}, ${said}). ${key.binding.wrapAdvice}`;
  return { key: verdict.errorName ?? 'unknown', kind: 'WRAP_REFUSED', detail, at: at.toISOString() };
}

/** Verdicts that are transient and yet need somebody: an error nobody has classified, and a key that is broken inside the KMS. */
function findingsOf(verdict: Verdict, at: Date): Finding[] {
  if (verdict.reason !== 'UNCLASSIFIED' && verdict.reason !== 'KEY_UNAVAILABLE') return [];
  const said = [verdict.errorName, verdict.message].filter((part) => part !== null).join(': ');
  const unclassified = verdict.reason === 'UNCLASSIFIED';
  const detail = unclassified
    ? `A check met an error that Atrest does not know (${said}). Nothing is stopped for it, and nothing was learnt about the key.`
    : `The key exists but the KMS cannot use it at present (${said}). Nothing is stopped. Look at its key store.`;
  return [
    {
      key: verdict.errorName ?? 'unknown',
      kind: unclassified ? 'UNCLASSIFIED_ERROR' : 'KEY_UNAVAILABLE',
      detail,
      at: at.toISOString(),
    },
  ];
}
