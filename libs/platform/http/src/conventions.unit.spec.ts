import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ApiError, atlasTime, negotiateVersion, newestNotLater, parametersOf, parseBody, toOpenApiPath } from './index.js';
import { matchesPath, RoutePathError, toRouterPath } from './route-path.js';
import { isVersionDate } from './version.js';

const versions = ['2023-01-01', '2023-02-01', '2024-08-05', '2024-10-23'];

describe('versions', () => {
  it.each([
    ['application/vnd.atlas.2025-03-12+json', '2024-10-23'],
    ['application/vnd.atlas.2024-08-05+json', '2024-08-05'],
    ['application/vnd.atlas.2024-08-04+json', '2023-02-01'],
    ['Application/VND.Atlas.2023-01-01+JSON; charset=utf-8', '2023-01-01'],
    ['application/json, application/vnd.atlas.2023-01-01+json;q=0.5', '2023-01-01'],
    ['application/vnd.atlas.preview+json, application/vnd.atlas.2023-02-01+json', '2023-02-01'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', '2024-10-23'],
    [undefined, '2024-10-23'],
    ['', '2024-10-23'],
    ['application/vnd.atlas.2022-12-31+json', undefined],
    ['application/vnd.atlas.2024-02-30+json, application/json', undefined],
    ['application/vnd.atlas.2024-08-05+xml', undefined],
    ['text/plain', undefined],
  ])('Accept %j → %s', (accept, version) => expect(negotiateVersion(accept, versions)).toBe(version));

  it('never gives a version later than the asked date, and never an older one than it could', () =>
    fc.assert(
      fc.property(
        fc.date({ min: new Date('2020-01-01'), max: new Date('2030-01-01'), noInvalidDate: true }),
        fc.shuffledSubarray(versions),
        (date, offered) => {
          const asked = date.toISOString().slice(0, 10);
          const version = newestNotLater(offered, asked);
          expect(negotiateVersion(`application/vnd.atlas.${asked}+json`, offered)).toBe(version);
          expect(offered.filter((other) => other <= asked && (version === undefined || other > version))).toEqual([]);
          expect(version === undefined || version <= asked).toBe(true);
        },
      ),
    ));

  it('knows the calendar', () => {
    expect(['2024-02-29', '2023-02-29', '2023-1-1', '20230101', '2023-01-01Z'].map(isVersionDate)).toEqual([
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe('paths', () => {
  it.each([
    [
      '/groups/:groupId/clusters/:clusterName',
      '/groups/:groupId/clusters/:clusterName',
      '/groups/{groupId}/clusters/{clusterName}',
      ['groupId', 'clusterName'],
    ],
    [
      '/groups/:groupId/encryptionAtRest/awsKms:check',
      '/groups/:groupId/encryptionAtRest/awsKms::check',
      '/groups/{groupId}/encryptionAtRest/awsKms:check',
      ['groupId'],
    ],
    ['/accounts/:clientId:invite', '/accounts/:clientId(^.+)::invite', '/accounts/{clientId}:invite', ['clientId']],
    ['/', '/', '/', []],
  ])('%s', (path, router, openApi, parameters) => {
    expect([toRouterPath(path), toOpenApiPath(path), parametersOf(path)]).toEqual([router, openApi, parameters]);
  });

  it.each(['groups', '/groups/', '/a//b', '/a/:', '/a/:b-c', '/a/*', '/a/(x)', '/:a:'])('refuses %s', (path) => {
    expect(() => toRouterPath(path)).toThrow(RoutePathError);
  });

  it('finds which paths a route serves', () => {
    expect(matchesPath('/a/:b/c:d', '/a/x/c:d')).toBe(true);
    expect(matchesPath('/a/:b:go', '/a/x:go')).toBe(true);
    expect([
      matchesPath('/a/:b', '/a/'),
      matchesPath('/a/:b', '/a/x/y'),
      matchesPath('/a/:b:go', '/a/:go'),
      matchesPath('/', '/x'),
    ]).toEqual([false, false, false, false]);
  });
});

describe('bodies', () => {
  const fieldsOf = (schema: z.ZodType, body: unknown) => {
    try {
      parseBody(schema, body);
    } catch (error) {
      if (error instanceof ApiError) return [error.errorCode, ...error.fields.map(({ field }) => field)];
      throw error;
    }
    return [];
  };

  it('explains unions by the alternative that came closest', () => {
    const union = z.strictObject({
      target: z.union([z.strictObject({ host: z.string(), port: z.int() }), z.strictObject({ socket: z.string() })]),
    });
    expect(fieldsOf(union, { target: { host: 'h', port: 'x' } })).toEqual(['INVALID_ATTRIBUTE', 'target.port']);
    const tagged = z.strictObject({
      job: z.discriminatedUnion('kind', [z.strictObject({ kind: z.literal('a') }), z.strictObject({ kind: z.literal('b') })]),
    });
    expect(fieldsOf(tagged, { job: {} })).toEqual(['MISSING_ATTRIBUTE', 'job.kind']);
    expect(fieldsOf(tagged, { job: { kind: 'c' } })).toEqual(['INVALID_ATTRIBUTE', 'job.kind']);
    expect(fieldsOf(tagged, {})).toEqual(['MISSING_ATTRIBUTE', 'job']);
  });

  it('takes no body for an empty one', () => {
    expect(parseBody(z.object({ a: z.string().optional() }), undefined)).toEqual({});
  });

  it('names at most fifty problems', () => {
    expect(
      fieldsOf(
        z.array(z.int()),
        Array.from({ length: 1_000 }, () => 'x'),
      ),
    ).toHaveLength(51);
  });
});

it('writes whole seconds', () => {
  expect(atlasTime(new Date('2026-08-10T03:35:05.999Z'))).toBe('2026-08-10T03:35:05Z');
});
