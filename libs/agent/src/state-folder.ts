import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HostGoalSchema, ObjectIdSchema, type HostGoal } from '@atrest/contracts';
import { z } from 'zod';
import { SealingKey } from './sealing-key.js';
import { readIfExists, writeDurably } from './durable-file.js';

const CredentialSchema = z.object({ hostId: ObjectIdSchema, credential: z.string(), controlPlane: z.string() });
export type StoredCredential = z.infer<typeof CredentialSchema>;

const ProcessRecordSchema = z.object({
  pid: z.number(),
  startTime: z.string(),
  /** Of the goal that it was started by. */
  argumentsVersion: z.number().optional(),
});
/** The last process that this agent, in this or an earlier life, started for a goal. */
export type ProcessRecord = z.infer<typeof ProcessRecordSchema>;

/** A log that has grown beyond this is set aside when its process starts again. One old log is kept. */
const LOG_LIMIT_BYTES = 64 * 1024 * 1024;

/** Everything the agent keeps between its lives. Only the agent's user may read it. */
export class StateFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  async prepare(): Promise<void> {
    await mkdir(join(this.path, 'processes'), { recursive: true, mode: 0o700 });
  }

  /** The enrolment of this host, or null. An unreadable file is an error: enrolling again would make a second host of this one. */
  async credential(): Promise<StoredCredential | null> {
    const text = await readIfExists(join(this.path, 'credential.json'));
    return text === null ? null : CredentialSchema.parse(JSON.parse(text));
  }

  async storeCredential(credential: StoredCredential): Promise<void> {
    await writeDurably(join(this.path, 'credential.json'), JSON.stringify(credential), 0o600);
    await rm(join(this.path, 'enrolment-secret'), { force: true });
  }

  /**
   * What this host proves itself with when it enrols again because the answer was lost. Made before the first try, and gone once a credential is kept.
   */
  async retrySecret(): Promise<string> {
    const path = join(this.path, 'enrolment-secret');
    const known = await readIfExists(path);
    if (known !== null) return known;
    const secret = randomBytes(32).toString('base64url');
    await writeDurably(path, secret, 0o600);
    return secret;
  }

  /** What secrets on their way to this host are sealed for. */
  sealingKey(): Promise<SealingKey> {
    return SealingKey.at(join(this.path, 'sealing-key.json'));
  }

  /** Counts the lives of the agent on this host, from 1. */
  async nextRun(): Promise<number> {
    const path = join(this.path, 'run');
    const run = Math.max(0, Number((await readIfExists(path)) ?? 0) || 0) + 1;
    await writeDurably(path, String(run));
    return run;
  }

  /** The last goal, or null when there is none that this release understands: then the control plane has to be asked. */
  async rememberedGoal(): Promise<HostGoal | null> {
    const text = await readIfExists(join(this.path, 'goal.json'));
    if (text === null) return null;
    return parseOrNull(text, HostGoalSchema);
  }

  async rememberGoal(goal: HostGoal): Promise<void> {
    await writeDurably(join(this.path, 'goal.json'), JSON.stringify(goal));
  }

  async processRecord(processId: string): Promise<ProcessRecord | null> {
    const text = await readIfExists(this.#process(processId, 'json'));
    return text === null ? null : parseOrNull(text, ProcessRecordSchema);
  }

  async storeProcessRecord(processId: string, record: ProcessRecord): Promise<void> {
    await writeDurably(this.#process(processId, 'json'), JSON.stringify(record));
  }

  /** Whether the process was ever seen as a member of an initiated replica set. */
  async wasMember(processId: string): Promise<boolean> {
    return (await readIfExists(this.#process(processId, 'member'))) !== null;
  }

  async rememberMember(processId: string): Promise<void> {
    await writeDurably(this.#process(processId, 'member'), '');
  }

  logPath(processId: string): string {
    return this.#process(processId, 'log');
  }

  consolePath(processId: string): string {
    return this.#process(processId, 'console.log');
  }

  /** What the members of a process's set prove to each other. mongod takes it from a file that only its owner may read. */
  async storeKeyFile(processId: string, content: string): Promise<string> {
    const path = this.#process(processId, 'key');
    await writeDurably(path, content, 0o600);
    return path;
  }

  /** Whether the process was ever to be started with a key file. */
  async hasKeyFile(processId: string): Promise<boolean> {
    return (await readIfExists(this.#process(processId, 'key'))) !== null;
  }

  /** Sets a big log aside. Only while its process is stopped. */
  async rotateLog(processId: string): Promise<void> {
    const path = this.logPath(processId);
    const size = await stat(path).then(
      (found) => found.size,
      () => 0,
    );
    if (size > LOG_LIMIT_BYTES) await rename(path, `${path}.1`);
  }

  /** Removes what is kept of a process that is no more. */
  async forgetProcess(processId: string): Promise<void> {
    for (const suffix of ['json', 'member', 'key', 'log', 'log.1', 'console.log'])
      await rm(this.#process(processId, suffix), { force: true });
  }

  #process(processId: string, suffix: string): string {
    return join(this.path, 'processes', `${processId}.${suffix}`);
  }
}

/** What another release wrote, or a disk has spoilt, is as good as nothing: everything read so can be learnt again. */
function parseOrNull<T>(text: string, schema: z.ZodType<T>): T | null {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
