import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createLogger, currentCorrelation, nestLogger, redactText, runWithCorrelation, type LoggerOptions } from './index.js';

function capture(options: Partial<LoggerOptions> = {}) {
  const written: string[] = [];
  const logger = createLogger({ service: 'fleet', level: 'trace', destination: { write: (line) => written.push(line) }, ...options });
  return {
    logger,
    text: () => written.join(''),
    lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

describe('redaction by name', () => {
  it('hides secrets at any depth, in objects, arrays, child bindings and request headers', () => {
    const { logger, text, lines } = capture();
    logger.child({ apiKey: 'hunter2-a' }).info(
      {
        awsKms: { secretAccessKey: 'hunter2-b', accessKeyID: 'hunter2-c', region: 'US_EAST_1' },
        list: [{ deep: { client_secret: 'hunter2-d', credentials: { user: 'hunter2-e' } } }],
        req: { headers: { authorization: 'hunter2-f', Cookie: 'hunter2-g', 'x-api-key': 'hunter2-h', accept: 'application/json' } },
        password: 12345,
        hasToken: true,
        secret: null,
        bytes: Buffer.from('hunter2-i'),
      },
      'saved',
    );
    expect(text()).not.toMatch(/hunter2|12345/);
    expect(text()).not.toContain(JSON.stringify([...Buffer.from('hunter2-i')]).slice(1, 20));
    expect(lines()[0]).toMatchObject({
      level: 'info',
      service: 'fleet',
      msg: 'saved',
      apiKey: '***',
      awsKms: { secretAccessKey: '***', accessKeyID: '***', region: 'US_EAST_1' },
      req: { headers: { authorization: '***', accept: 'application/json' } },
      hasToken: true,
      secret: null,
      bytes: '[bytes]',
    });
  });
});

describe('redaction by pattern', () => {
  it.each([
    ['service account secret mdb_sa_sk_hunter2-ABC_def refused', 'service account secret mdb_sa_sk_*** refused'],
    ['key AKIAHUNTER2HUNTER2HU of the user', 'key AKIA*** of the user'],
    ['Authorization: Bearer hunter2.hunter2', 'Authorization: Bearer ***'],
    ['got basic aHVudGVyMjpodW50ZXIy!', 'got basic ***!'],
    ['jwt eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.c2ln here', 'jwt *** here'],
    ['sealed eyJhbGciOiJFQ0RILUVTIn0..aXY.aHVudGVyMg.dGFn here', 'sealed *** here'],
    ['postgres://atrest:hunter2@db:5432/x', 'postgres://atrest:***@db:5432/x'],
    ['postgres://atrest:hun@ter2@db:5432/x', 'postgres://atrest:***@db:5432/x'],
    ['body grant_type=x&client_secret=hunter2&a=b', 'body grant_type=x&client_secret=***&a=b'],
    ['{"secretAccessKey": "hunter2", "region":"x"}', '{"secretAccessKey": "***", "region":"x"}'],
    ['-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----', '-----BEGIN EC PRIVATE KEY-----***'],
    ['a token expired; mdb_sa_id_0123456789abcdef01234567', 'a token expired; mdb_sa_id_0123456789abcdef01234567'],
    ['https://kms.example/path?x=1 is down', 'https://kms.example/path?x=1 is down'],
  ])('%j', (before, after) => {
    expect(redactText(before)).toBe(after);
    const { logger, lines } = capture();
    logger.warn({ nested: [{ note: before }] }, before.replaceAll('%', '%%'));
    expect(lines()[0]).toMatchObject({ msg: after, nested: [{ note: after }] });
  });

  it('reaches into errors, their causes and their attributes, under whatever name', () => {
    const { logger, text, lines } = capture();
    const cause = Object.assign(new Error('Bearer hunter2-cause'), { config: { headers: { authorization: 'hunter2-header' } } });
    const error = Object.assign(new Error('mdb_sa_sk_hunter2', { cause }), {
      code: 'E1',
      $metadata: { requestId: 'r-1' },
      parameters: ['hunter2-parameter'],
      socket: new (class Socket {
        written = 'hunter2-socket';
      })(),
    });
    logger.error(error);
    logger.error({ error, err: new AggregateError([cause], 'several') }, 'failed');
    expect(text()).not.toContain('hunter2');
    expect(lines()[0]).toMatchObject({
      msg: 'mdb_sa_sk_***',
      err: { type: 'Error', code: 'E1', $metadata: { requestId: 'r-1' }, cause: { message: 'Bearer ***' } },
    });
    expect(lines()[1]).toMatchObject({
      error: { code: 'E1', stack: expect.stringContaining('logging.unit.spec') },
      err: { errors: [{ message: 'Bearer ***' }] },
    });
  });

  it('survives an error that is its own cause', () => {
    const { logger, lines } = capture();
    const error = new Error('loop');
    error.cause = error;
    logger.error(error);
    expect(lines()).toHaveLength(1);
  });
});

describe('correlation', () => {
  it('is in every line that is written while it runs, and nowhere else', async () => {
    const { logger, lines } = capture();
    await runWithCorrelation({ correlationId: 'c-1', causationId: 'e-1' }, async () => {
      await Promise.resolve();
      expect(currentCorrelation()).toEqual({ correlationId: 'c-1', causationId: 'e-1' });
      logger.info('inside');
    });
    logger.info('outside');
    expect(lines()[0]).toMatchObject({ correlationId: 'c-1', causationId: 'e-1' });
    expect(lines()[1]).not.toHaveProperty('correlationId');
    expect(currentCorrelation()).toBeUndefined();
  });
});

describe('forms', () => {
  it('writes one redacted line for a person', () => {
    const { logger, text } = capture({ pretty: true });
    logger.info({ clusterName: 'c1', token: 'hunter2' }, 'cluster created');
    expect(text()).toMatch(/^\d\d:\d\d:\d\d INFO {2}fleet {2}cluster created {2}clusterName=c1 {2}token=\*\*\*\n$/);
  });

  it('appends to a file when it is given one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'atrest-log-'));
    const file = join(folder, 'new', 'atrest.log');
    createLogger({ service: 'a', file }).info('one');
    createLogger({ service: 'b', file }).info('two');
    expect((await readFile(file, 'utf8')).trim().split('\n')).toHaveLength(2);
    await rm(folder, { recursive: true });
  });

  it('takes what Nest says', () => {
    const { logger, lines } = capture();
    const nest = nestLogger(logger);
    nest.log('mapped', 'RouterExplorer');
    nest.error('broken', 'Error: at x', 'ExceptionsHandler');
    nest.warn({ a: 1 });
    expect(lines()).toMatchObject([
      { level: 'debug', msg: 'mapped', component: 'RouterExplorer' },
      { level: 'error', msg: 'broken', component: 'ExceptionsHandler', stack: 'Error: at x' },
      { level: 'warn', msg: '{"a":1}' },
    ]);
  });

  it('refuses a level that does not exist', () => {
    expect(() => capture({ level: 'loud' })).toThrow(/loud/);
  });
});
