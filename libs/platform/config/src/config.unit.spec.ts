import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  compileConfig,
  ConfigError,
  describeConfig,
  duration,
  durationSchema,
  flag,
  integer,
  loadYaml,
  oneOf,
  optional,
  secret,
  Secret,
  text,
  url,
  type ConfigFields,
} from './index.js';

const fields = {
  checkInterval: duration({ description: 'Time between two validity checks.', min: '1s', max: '24h', default: '60s' }),
  port: integer({ description: 'The port.', min: 1, max: 65_535, default: 8080 }),
  logLevel: oneOf(['info', 'debug'], { description: 'How much is logged.', default: 'info' }),
  enforce: flag({ description: 'Stop databases.', default: true }),
  databaseUrl: url({ description: 'Where PostgreSQL is.', protocols: ['postgres', 'postgresql:'] }),
  sealingKey: secret({ description: 'Seals credentials.', minLength: 8 }),
  smtpUrl: optional(url({ description: 'Mail server.', protocols: ['smtp'] })),
  orgName: text({ description: 'Name | of the organisation.', pattern: /^[a-z]+$/, default: 'acme', variable: 'ATREST_ORG' }),
} satisfies ConfigFields;
const good = { DATABASE_URL: 'postgres://u:p@h/db', SEALING_KEY: 'correct horse' };

function refused(action: () => unknown): ConfigError {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('environment', () => {
  it('reads each variable, applies defaults and keeps what is optional undefined', () => {
    const config = compileConfig(fields, { ...good, PORT: '9', CHECK_INTERVAL: '15m', ENFORCE: 'false' });
    expect(config).toMatchObject({
      checkInterval: 900_000,
      port: 9,
      logLevel: 'info',
      enforce: false,
      smtpUrl: undefined,
      orgName: 'acme',
    });
    expect(config.sealingKey.reveal()).toBe('correct horse');
    expect(Object.isFrozen(config)).toBe(true);
  });

  it('names every problem at once, with the rule and without any value', () => {
    const env = {
      DATABASE_URL: 'mysql://user:hunter2@host',
      SEALING_KEY: 'hunter2',
      PORT: 'hunter2',
      ATREST_ORG: 'HUNTER2',
      LOG_LEVEL: '',
    };
    const error = refused(() => compileConfig(fields, env));
    expect(error.problems.map(({ variable }) => variable).sort()).toEqual([
      'ATREST_ORG',
      'DATABASE_URL',
      'LOG_LEVEL',
      'PORT',
      'SEALING_KEY',
    ]);
    expect(`${error.stack} ${inspect(error)} ${JSON.stringify(error)}`).not.toMatch(/hunter2/i);
    expect(error.message).toContain(
      'PORT must be an integer from 1 to 65535, in decimal digits. Correct it, or remove it to use the default (8080).',
    );
    expect(refused(() => compileConfig(fields, {})).message).toContain(
      'DATABASE_URL is not set. Set it to an absolute URL that begins with postgres:// or postgresql://. Where PostgreSQL is.',
    );
  });

  it.each(['60', '60 s', ' 60s', '1.5m', '60seconds', '1m30s', '6e1s', '0x3cs', '"60s"', 'PT60S', '60S'])(
    'F87 a duration %j without one clear unit is refused, naming variable and rule',
    (value) => {
      const { problems } = refused(() => compileConfig(fields, { ...good, CHECK_INTERVAL: value }));
      expect(problems).toEqual([
        { variable: 'CHECK_INTERVAL', rule: expect.stringContaining('a duration with a unit from 1s to 1d, such as') },
      ]);
    },
  );

  it.each(['6e1', ' 60', '60 ', '0x10', '010', '+1', '1.0', '1_000', '"80"', '٨', '-0', 'NaN', 'Infinity', '9007199254740993'])(
    'F87 an integer %j is refused',
    (value) => {
      expect(refused(() => compileConfig(fields, { ...good, PORT: value })).problems[0]?.variable).toBe('PORT');
    },
  );

  it.each(['0s', '0', '-1', '-1s', '1ms', '3650d', '10y', '999ms', '86401s'])('F88 an interval of %s is refused', (value) => {
    expect(refused(() => compileConfig(fields, { ...good, CHECK_INTERVAL: value })).problems[0]?.variable).toBe('CHECK_INTERVAL');
  });

  it.each(['1', 'yes', 'TRUE', 'on'])('F87 a flag %j is refused', (value) => {
    expect(refused(() => compileConfig(fields, { ...good, ENFORCE: value })).problems[0]?.variable).toBe('ENFORCE');
  });

  it.each(['postgres:h', 'postgres//h', 'http://h', 'postgres://h/a b', 'postgres://h\n', ''])('a URL %j is refused', (value) => {
    expect(refused(() => compileConfig(fields, { ...good, DATABASE_URL: value })).problems[0]?.variable).toBe('DATABASE_URL');
  });

  it('accepts exactly the integers within the bounds', () =>
    fc.assert(
      fc.property(fc.integer({ min: -10, max: 70_000 }), (port) => {
        let accepted: boolean;
        try {
          accepted = compileConfig(fields, { ...good, PORT: String(port) }).port === port;
        } catch {
          accepted = false;
        }
        expect(accepted).toBe(port >= 1 && port <= 65_535);
      }),
    ));

  it('refuses a default that breaks its own rule when the program is written', () => {
    expect(() => integer({ description: '', min: 1, max: 2, default: 3 })).toThrow(
      'The default of a setting breaks its own rule: an integer from 1 to 2',
    );
  });

  it('describes what it checks', () => {
    const table = describeConfig(fields).split('\n');
    expect(table).toHaveLength(2 + Object.keys(fields).length);
    expect(table).toContain('| `PORT` | The port. | an integer from 1 to 65535, in decimal digits | `8080` |');
    expect(table.at(-1)).toBe('| `ATREST_ORG` | Name \\| of the organisation. | a text that matches ^[a-z]+$ | `acme` |');
    expect(describeConfig(fields)).toMatch(/SEALING_KEY.*required \|\n.*SMTP_URL.*not set \|/);
  });
});

describe('secrets', () => {
  it('never print', () => {
    const hidden = new Secret('hunter2');
    const wrapped = { a: [hidden], b: new Map([['k', hidden]]) };
    expect(
      `${String(hidden)}${hidden.toString()}${JSON.stringify(wrapped)}${inspect(wrapped, { depth: 9, showHidden: true })}${Object.values(hidden).join('')}`,
    ).not.toContain('hunter2');
    expect(hidden.reveal()).toBe('hunter2');
  });
});

describe('YAML', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atrest-config-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const schema = z.object({
    server: z.url(),
    interval: durationSchema({ min: '1s', max: '24h' }),
    processes: z.array(z.object({ port: z.int().min(1).max(65_535), kind: z.enum(['mongod', 'mongos']) })).default([]),
  });
  const valid = 'server: https://h\ninterval: 60s\nprocesses:\n  - { port: 27017, kind: mongod }\n';

  async function load(source: string) {
    const file = join(folder, 'agent.yaml');
    await writeFile(file, source);
    return loadYaml(file, schema);
  }
  async function problemsOf(source: string): Promise<string[]> {
    const error: unknown = await load(source).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).message).not.toContain('hunter2');
    return (error as ConfigError).problems.map(({ variable, rule }) => `${variable.replace(/^.*agent\.yaml:\s*/, '')} ${rule}`);
  }

  it('reads a valid file', async () => {
    expect(await load(valid)).toEqual({ server: 'https://h', interval: 60_000, processes: [{ port: 27017, kind: 'mongod' }] });
  });

  it('F87 duplicate keys are refused with their place', async () => {
    expect(await problemsOf(`${valid}server: hunter2\n`)).toEqual(['5:1 has a key twice. Keep one of them.']);
  });

  it('F87 a number in quotes is no number', async () => {
    expect(await problemsOf(valid.replace('27017', '"27017"'))).toEqual([
      'processes[0].port must be of type number. Write it so, without quotes and without a unit.',
    ]);
  });

  it.each(['60', '6e1', 'true', '60 s', '"60"', '1:00'])('F87 interval: %s has no clear unit', async (value) => {
    expect(await problemsOf(valid.replace('60s', value))).toEqual([
      expect.stringMatching(/^interval must be a duration with a unit from 1s to 1d/),
    ]);
  });

  it.each(['0s', '-1s', '1ms', '3650d'])('F88 interval: %s is refused', async (value) => {
    expect(await problemsOf(valid.replace('60s', value))).toEqual([expect.stringMatching(/^interval must be a duration/)]);
  });

  it('unknown keys are refused with their path, also where the schema would drop them', async () => {
    expect(await problemsOf(valid.replace('kind: mongod', 'kind: mongod, prot: 1'))).toEqual([
      'processes[0].prot is not a known setting. Remove it or correct its name.',
    ]);
  });

  it.each([
    ['no mapping', '- hunter2', /^the whole file must be of type object/],
    ['an empty file', '', /^the whole file must be of type object/],
    ['broken syntax', 'server: [hunter2', /is not valid YAML/],
    ['an unknown tag', `${valid}x: !!js/function hunter2`, /is not valid YAML/],
    ['two documents', `${valid}---\n${valid}`, /is not valid YAML/],
    ['something missing', 'interval: 60s', /^server is missing/],
  ])('refuses %s', async (_name, source, expected) => {
    expect((await problemsOf(source))[0]).toMatch(expected);
  });

  it('says which file cannot be read', async () => {
    await expect(loadYaml(join(folder, 'none.yaml'), schema)).rejects.toThrow(/none\.yaml cannot be read \(ENOENT\)/);
  });
});
