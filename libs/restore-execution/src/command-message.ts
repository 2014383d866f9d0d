import {
  RestoreCommandMessageSchema,
  restoreCommandRequested,
  RestoreCommandSchema,
  type EventEnvelope,
  type RestoreCommand,
} from '@atrest/contracts';
import { z } from 'zod';

/** Why something is no restore command. Names places and rules, never what was found there. */
export interface Problem {
  readonly problem: string;
}

/** The JWS that a message carries. */
export function jwsOf(event: Pick<EventEnvelope, 'type' | 'data'>): { readonly jws: string } | Problem {
  if (event.type !== restoreCommandRequested.type) return { problem: `the type must be ${restoreCommandRequested.type}` };
  const parsed = RestoreCommandMessageSchema.safeParse(event.data);
  return parsed.success ? { jws: parsed.data.jws } : { problem: `the data does not fit its schema: ${rulesOf(parsed.error)}` };
}

/** The command that a signed payload holds; or the problem, with the command's id when at least that can be read. */
export function commandOf(payload: Uint8Array): { readonly command: RestoreCommand } | (Problem & { readonly commandId: string | null }) {
  const value = jsonOf(payload);
  const parsed = RestoreCommandSchema.safeParse(value);
  if (parsed.success) return { command: parsed.data };
  const id = z.object({ commandId: z.uuid() }).safeParse(value);
  return { problem: `the command does not fit its schema: ${rulesOf(parsed.error)}`, commandId: id.success ? id.data.commandId : null };
}

/** Undefined when it is not JSON in UTF-8. */
function jsonOf(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

function rulesOf(error: z.ZodError): string {
  return error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.map(String).join('.') || '(whole)'}: ${ruleOf(issue)}`)
    .join('; ');
}

/** zod names unknown members, which are the sender's words. */
const ruleOf = (issue: z.core.$ZodIssue): string => (issue.code === 'unrecognized_keys' ? 'has unknown members' : issue.message);
