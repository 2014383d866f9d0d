import { createHash, createHmac, randomBytes } from 'node:crypto';

/**
 * Secrets of the agent channel. Only their hash is stored: they have 256 bits of randomness, so a plain SHA-256 is enough, and it allows to look a
 * credential up by an index.
 */
export function newSecret(purpose: 'enrolment' | 'agent'): { readonly value: string; readonly hash: Buffer } {
  const value = `atrest_${purpose}_${randomBytes(32).toString('base64url')}`;
  return { value, hash: hashOf(value) };
}

/**
 * The credential of an agent that sent a secret of its own with its token: the same whenever it asks, so that an answer that was lost, or that came twice and
 * crossed, does no harm. Whoever knows only the token or only the secret cannot make it.
 */
export function agentCredential(token: string, retrySecret: string): { readonly value: string; readonly hash: Buffer } {
  const value = `atrest_agent_${createHmac('sha256', retrySecret).update(`credential ${token}`).digest('base64url')}`;
  return { value, hash: hashOf(value) };
}

export const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();
