import { ConfigError } from '@atrest/platform-config';
import { describe, expect, it } from 'vitest';
import { readConfiguration } from './configuration.js';

function problemsOf(environment: Record<string, string>): ConfigError {
  try {
    readConfiguration(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(environment)} was accepted`);
}

const MS_OF_DURATIONS = {
  ATREST_CHECK_INTERVAL: 60_000,
  ATREST_CHECK_CONFIRMATION_WINDOW: 20_000,
  ATREST_UNREACHABLE_GRACE: 300_000,
  ATREST_MAIL_RETRY: 30_000,
  ATREST_STOP_KILL_AFTER: 600_000,
};

describe('the configuration of the standalone app', () => {
  it('needs nothing: the defaults are a whole system, its durations in milliseconds', () => {
    expect(readConfiguration({})).toMatchObject({ ...MS_OF_DURATIONS, ATREST_CHECK_CONFIRMATIONS: 3, ATREST_HTTP_PORT: 8080 });
  });

  it('F87 durations have a unit: a bare number is refused by name for every one of them', () => {
    for (const variable of Object.keys(MS_OF_DURATIONS)) {
      const { problems, message } = problemsOf({ [variable]: '8675309' });
      expect(problems).toMatchObject([{ variable, rule: expect.stringContaining('a duration with a unit') }]);
      expect(message).toContain(variable);
      expect(message).not.toContain('8675309');
    }
  });

  it.each([
    ['90s', 90_000],
    ['15m', 900_000],
    ['24h', 86_400_000],
    ['1000ms', 1_000],
  ])('F87 %s is %i ms', (text, milliseconds) => {
    expect(readConfiguration({ ATREST_CHECK_INTERVAL: text }).ATREST_CHECK_INTERVAL).toBe(milliseconds);
  });

  it.each(['3.0', '3s', '0x3', '1e1', '', ' 3', 'three'])('F87 a count is a whole number in digits: %j is refused', (text) => {
    const { problems } = problemsOf({ ATREST_CHECK_CONFIRMATIONS: text });
    expect(problems.map(({ variable }) => variable)).toEqual(['ATREST_CHECK_CONFIRMATIONS']);
  });

  it.each([
    '0',
    '0s',
    '-1',
    '-1s',
    '1ms',
    '999ms',
    '60',
    '10y',
    '3650d',
    '25h',
    '99999999999999999999h',
    'Infinity',
    'NaN',
    '1e3s',
    '60 s',
  ])('F88 an interval of %j is refused by name, and by the same words as any other: the value is not among them', (text) => {
    const refusal = problemsOf({ ATREST_CHECK_INTERVAL: text });
    expect(refusal.problems.map(({ variable }) => variable)).toEqual(['ATREST_CHECK_INTERVAL']);
    expect(refusal.message).toBe(problemsOf({ ATREST_CHECK_INTERVAL: 'something else' }).message);
  });

  it('F88 one confirmation is none: two to ten', () => {
    for (const text of ['1', '0', '-2', '11']) {
      expect(problemsOf({ ATREST_CHECK_CONFIRMATIONS: text }).message).toContain('ATREST_CHECK_CONFIRMATIONS');
    }
    expect(readConfiguration({ ATREST_CHECK_CONFIRMATIONS: '2' }).ATREST_CHECK_CONFIRMATIONS).toBe(2);
  });

  it('refuses settings that do not go together before anything starts', () => {
    const { problems } = problemsOf({ ATREST_AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE' });
    expect(problems.map(({ variable }) => variable)).toEqual(['ATREST_AWS_CREDENTIALS']);
  });

  it('names everything that is wrong at once, and no secret', () => {
    const { problems, message } = problemsOf({
      ATREST_CHECK_INTERVAL: 'hunter2',
      ATREST_HTTP_PORT: '70000',
      ATREST_AGENT_PORTS: 'hunter2',
      ATREST_ON_EXIT: 'hunter2',
      ATREST_SMTP_URL: '',
    });
    expect(problems.map(({ variable }) => variable).sort()).toEqual([
      'ATREST_AGENT_PORTS',
      'ATREST_CHECK_INTERVAL',
      'ATREST_HTTP_PORT',
      'ATREST_ON_EXIT',
      'ATREST_SMTP_URL',
    ]);
    expect(message).not.toMatch(/hunter2|70000/);
  });
});
