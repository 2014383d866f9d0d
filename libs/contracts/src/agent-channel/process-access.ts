import { z } from 'zod';
import { ObjectIdSchema } from '../ids.js';
import { SealedForAgentSchema } from './agent-tasks.js';

/** The user that agents log in as at processes that Atrest makes. Nobody else may have its name. */
export const AGENT_USERNAME = 'atrest-agent';

/** How an agent gets into a process. Absent in a goal: without a login. */
export const ProcessAccessSchema = z.object({
  /** A `ProcessAccessSecret`. The same text as long as nobody wants something else and the host has the same sealing key. */
  sealed: SealedForAgentSchema,
});
export type ProcessAccess = z.infer<typeof ProcessAccessSchema>;

/** The content of a sealed access: never logged, never stored in clear but for the key file. The same for every process of a cluster. */
export const ProcessAccessSecretSchema = z.object({
  /** The cluster that it is for; an agent uses it for no other. */
  clusterId: ObjectIdSchema,
  /** What members prove to each other; processes are started with it. Null: they have their own arrangement. */
  keyFile: z.string().nullable(),
  /**
   * Who the agent is. With a key file the agent makes this user where it is missing; null: nobody. `x509` is the holder of the certificate in `tls`.
   */
  login: z
    .discriminatedUnion('kind', [
      z.object({ kind: z.literal('password'), username: z.string(), password: z.string(), authSource: z.string() }),
      z.object({ kind: z.literal('x509') }),
    ])
    .nullable(),
  /** A user with the role `root` for the owner of the cluster. Each setting has an id of its own, and is carried out once. */
  administrator: z.object({ id: ObjectIdSchema, username: z.string(), password: z.string() }).nullable(),
  /** Null: the processes take connections without TLS. PEM texts; the certificate with its private key is shown to servers. */
  tls: z.object({ ca: z.string(), certificate: z.string().nullable() }).nullable(),
});
export type ProcessAccessSecret = z.infer<typeof ProcessAccessSecretSchema>;
