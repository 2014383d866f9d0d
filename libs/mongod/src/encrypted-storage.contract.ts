import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Collection } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import type { ExitExplanation } from './explain-exit.js';
import { LOG_IDS } from './log-ids.js';
import { MongodHarness, type ServerUnderTest } from './mongod-harness.contract.js';

const clean = { code: 0, signal: null };
/** "Initializing KeyDB" and "Encryption keys DB is initialized successfully". */
const KEYS_OPENED = [29037, 29039];

interface Refusal {
  readonly code: number;
  /** In this order, other lines between them allowed. */
  readonly ids: number[];
  readonly cause: ExitExplanation['cause'];
}
const WRONG_KEY: Refusal = { code: 14, ids: [29037, 29054, 29055, 29056, 23091], cause: 'wrong-key' };
const UNUSABLE_KEY: Refusal = { code: 100, ids: [29038, 20558, LOG_IDS.shutDown], cause: 'key-unusable' };
const OTHER_STORAGE: Refusal = { code: 14, ids: [22435, 22347, 22348, 50944, 23091], cause: 'wrong-key' };
const OTHER_MODE: Refusal = { code: 14, ids: [22435, 22347, 23091], cause: 'wrong-key' };

/**
 * Encrypted storage as recorded from Percona Server for MongoDB 4.4: what is on disk, and how each unusable key ends the start. A server without it
 * (Community refuses the option with exit code 2) is found out by trying, and every test says that it was skipped.
 */
export function encryptedStorageContract(name: string, server: ServerUnderTest, options: { skipped?: boolean } = {}): void {
  describe.skipIf(options.skipped)(`encrypted storage: ${name}`, { timeout: 240_000 }, () => {
    const harness = new MongodHarness(server);
    let lacking: string | null = null;

    beforeAll(async () => {
      await harness.open();
      lacking = await whyNotEncrypted(harness);
      await harness.killAll();
    });
    afterEach(() => harness.killAll());
    afterAll(() => harness.close());

    const needed = (context: TestContext): void => context.skip(lacking !== null, lacking ?? undefined);

    it('the stand-in has it', (context) => {
      context.skip(
        server.extraArguments.every((argument) => !argument.startsWith('sim')),
        'a real server may be one without',
      );
      expect(lacking).toBeNull();
    });

    it.for([
      { mode: 'AES256-CBC', asked: 'by default', extra: [] },
      { mode: 'AES256-GCM', asked: 'asked for', extra: ['--encryptionCipherMode', 'AES256-GCM'] },
    ])('$mode, $asked: nothing that was written can be read on disk, and the same key opens it again', async ({ mode, extra }, context) => {
      needed(context);
      const key = await keyFile(harness, base64(32));
      const goal = await goalWith(harness, encrypted(key, ...extra));
      const marker = `marker-${randomBytes(16).toString('hex')}`;
      const first = await harness.startReady(goal);
      await harness.expectIds(first, [LOG_IDS.starting, ...KEYS_OPENED, 22315, LOG_IDS.ready]);
      await write(harness, goal.port, marker);
      expect(await filesWith(goal.dbPath, marker)).toEqual([]);
      expect(await harness.terminate(first)).toEqual(clean);
      expect(await filesWith(goal.dbPath, marker)).toEqual([]);
      expect((await stat(join(goal.dbPath, 'key.db'))).isDirectory()).toBe(true);

      // The default is what it is when it is named, too.
      const named = encrypted(key, '--encryptionCipherMode', mode);
      const again = await harness.startReady(await goalWith(harness, named, goal.dbPath));
      expect(await read(harness, again.port)).toEqual([marker]);
    });

    it('the same search finds what a server without encryption has written', async () => {
      const marker = `marker-${randomBytes(16).toString('hex')}`;
      const goal = await harness.goal();
      await harness.startReady(goal);
      await write(harness, goal.port, marker);
      expect(await filesWith(goal.dbPath, marker)).not.toEqual([]);
    });

    it('keeps what was written with a journal through SIGKILL', async (context) => {
      needed(context);
      const goal = await goalWith(harness, encrypted(await keyFile(harness, base64(32))));
      const first = await harness.startReady(goal);
      await write(harness, goal.port, 'journaled');
      await harness.kill(first);
      const second = await harness.startReady(goal);
      await harness.expectIds(second, [LOG_IDS.uncleanShutdown, ...KEYS_OPENED, LOG_IDS.ready]);
      expect(await read(harness, second.port)).toEqual(['journaled']);
    });

    it('refuses a wrong key, a missing key file, one that others may read, no key, and another cipher mode; the right one still opens everything', async (context) => {
      needed(context);
      const key = await keyFile(harness, base64(32));
      const goal = await goalWith(harness, encrypted(key));
      const first = await harness.startReady(goal);
      await write(harness, goal.port, 'kept');
      expect(await harness.terminate(first)).toEqual(clean);

      const open = await keyFile(harness, base64(32));
      await chmod(open, 0o644);
      const cases: [string[], Refusal][] = [
        [encrypted(await keyFile(harness, base64(32))), WRONG_KEY],
        [encrypted(join(harness.folder, 'no-such-key')), UNUSABLE_KEY],
        [encrypted(open), UNUSABLE_KEY],
        [[], OTHER_STORAGE],
        [encrypted(key, '--encryptionCipherMode', 'AES256-GCM'), OTHER_MODE],
      ];
      for (const [args, refusal] of cases) await expectRefused(harness, { dbPath: goal.dbPath, args, refusal });

      const again = await harness.startReady(goal);
      expect(await read(harness, again.port)).toEqual(['kept']);
    });

    it('refuses encryption for files that were written without', async (context) => {
      needed(context);
      const goal = await harness.goal();
      const first = await harness.startReady(goal);
      await write(harness, goal.port, 'plain');
      expect(await harness.terminate(first)).toEqual(clean);
      const args = encrypted(await keyFile(harness, base64(32)));
      await expectRefused(harness, { dbPath: goal.dbPath, args, refusal: OTHER_STORAGE });
    });

    it('F86 a key of 31 or 33 bytes, or in hex instead of base64, is refused: never padded, never cut', async (context) => {
      needed(context);
      const { dbPath } = await harness.goal();
      for (const text of [base64(31), base64(33), randomBytes(32).toString('hex')]) {
        await expectRefused(harness, { dbPath, args: encrypted(await keyFile(harness, text)), refusal: UNUSABLE_KEY });
      }
    });
  });
}

const base64 = (bytes: number): string => randomBytes(bytes).toString('base64');

const encrypted = (keyPath: string, ...more: string[]): string[] => ['--enableEncryption', '--encryptionKeyFile', keyPath, ...more];

async function keyFile(harness: MongodHarness, text: string): Promise<string> {
  const path = join(harness.folder, `key-${randomBytes(6).toString('hex')}`);
  await writeFile(path, `${text}\n`, { mode: 0o600 });
  return path;
}

async function goalWith(harness: MongodHarness, args: readonly string[], dbPath?: string) {
  const goal = await harness.goal(dbPath === undefined ? {} : { dbPath });
  return { ...goal, extraArguments: [...goal.extraArguments, ...args] };
}

/** Null for a server that starts with a key file; else why this section does not apply to it. */
async function whyNotEncrypted(harness: MongodHarness): Promise<string | null> {
  const probe = await harness.start(await goalWith(harness, encrypted(await keyFile(harness, base64(32)))));
  const code = await Promise.race([probe.process.exited.then((exit) => exit.code), harness.ready(probe).then(() => null)]);
  if (code === null) return null;
  if (code === 2) return 'this server has no encrypted storage: it refuses --enableEncryption (exit code 2)';
  await probe.log.read();
  throw new Error(`The server takes --enableEncryption and does not start with it: ${probe.log.explain({ code, signal: null }).error}`);
}

async function expectRefused(harness: MongodHarness, o: { dbPath: string; args: readonly string[]; refusal: Refusal }): Promise<void> {
  const refused = await harness.start(await goalWith(harness, o.args, o.dbPath));
  const exit = await refused.process.exited;
  expect(exit).toEqual({ code: o.refusal.code, signal: null });
  await harness.expectIds(refused, [LOG_IDS.starting, ...o.refusal.ids]);
  await refused.log.read();
  const explained = refused.log.explain(exit);
  expect(explained.cause).toBe(o.refusal.cause);
  expect(explained.hint).toContain('--repair');
}

async function write(harness: MongodHarness, port: number, text: string): Promise<void> {
  await withOrders(harness, port, (orders) => orders.insertOne({ text }, { writeConcern: { w: 1, journal: true } }));
}

async function read(harness: MongodHarness, port: number): Promise<string[]> {
  const documents = await withOrders(harness, port, (orders) => orders.find().toArray());
  return documents.map(({ text }) => text);
}

/** The client is closed while the server still runs: later it would look for one to end its sessions on. */
async function withOrders<T>(harness: MongodHarness, port: number, work: (orders: Collection<{ text: string }>) => Promise<T>): Promise<T> {
  const client = harness.client(`mongodb://127.0.0.1:${port}/?directConnection=true`);
  try {
    return await work(client.db('shop').collection<{ text: string }>('orders'));
  } finally {
    await client.close();
  }
}

/** Files below a folder that hold the text as it is. */
async function filesWith(folder: string, text: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found: string[] = [];
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name);
    let before = Buffer.alloc(0);
    for await (const chunk of createReadStream(path, { highWaterMark: 4 * 1024 * 1024 }) as AsyncIterable<Buffer>) {
      const window = Buffer.concat([before, chunk]);
      if (window.includes(text)) {
        found.push(path);
        break;
      }
      before = window.subarray(-text.length);
    }
  }
  return found;
}
