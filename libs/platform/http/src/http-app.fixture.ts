// Controllers for the tests of this package. Outside of the spec files, because these are not part of a TypeScript project of their own.
import { once } from 'node:events';
import { Controller, Get, Injectable, Query, type CanActivate, type DynamicModule, type ExecutionContext } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { currentCorrelation } from '@atrest/platform-logging';
import { z } from 'zod';
import {
  ACCESS_METADATA,
  answer,
  ApiError,
  AtlasRoute,
  BaseUrl,
  BodyError,
  page,
  pageQuery,
  PathParam,
  RequestSignal,
  ValidBody,
  ValidQuery,
  Version,
  type PageRequest,
} from './index.js';

export const Body = z.strictObject({
  name: z.string().min(1),
  clusterType: z.enum(['REPLICASET', 'SHARDED']),
  awsKms: z.strictObject({ enabled: z.boolean(), secretAccessKey: z.string().optional() }).optional(),
  processes: z.array(z.strictObject({ port: z.int() })).optional(),
  special: z
    .string()
    .refine((value) => value !== 'bad', { message: 'The name is taken', params: { errorCode: 'DUPLICATE_CLUSTER_NAME' } })
    .optional(),
});
export type Body = z.infer<typeof Body>;

@Controller()
export class ThingController {
  polls: AbortSignal[] = [];
  release: () => void = () => undefined;

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/things/:name',
    versions: ['2023-01-01', '2023-02-01', '2024-08-05'],
    access: 'public',
    summary: 'One.',
  })
  one(@PathParam('groupId') groupId: string, @PathParam('name') name: string, @Version() version: string, @BaseUrl() base: string) {
    return { groupId, name, version, base, none: undefined, ...currentCorrelation() };
  }

  @AtlasRoute({
    method: 'GET',
    path: '/groups/:groupId/things',
    versions: ['2023-02-01'],
    access: 'public',
    summary: 'All.',
    query: z.object({ ...pageQuery, status: z.string().optional() }),
  })
  list(@ValidQuery() query: PageRequest) {
    return page(['a', 'b'], 250, query);
  }

  @AtlasRoute({
    method: 'POST',
    path: '/groups/:groupId/things',
    versions: ['2023-01-01'],
    access: 'public',
    summary: 'New.',
    body: Body,
    success: 201,
  })
  create(@ValidBody() body: Body) {
    return answer(body, { headers: { location: '/things/1' } });
  }

  @AtlasRoute({
    method: 'DELETE',
    path: '/groups/:groupId/things/:name',
    versions: ['2023-01-01'],
    access: 'public',
    summary: 'Gone.',
    success: 202,
  })
  remove() {
    return undefined;
  }

  @AtlasRoute({
    method: 'POST',
    path: '/groups/:groupId/things/:name:restart',
    versions: ['2023-01-01'],
    access: 'public',
    summary: 'Verb on a parameter.',
    success: 204,
  })
  verb(@PathParam('name') name: string) {
    if (name !== 'n1') throw new Error(`wrong name ${name}`);
  }

  @AtlasRoute({
    method: 'POST',
    path: '/groups/:groupId/encryptionAtRest/awsKms:check',
    versions: ['2023-01-01'],
    access: 'public',
    summary: 'Verb on a word.',
  })
  check(@PathParam('groupId') groupId: string) {
    return { groupId };
  }

  @AtlasRoute({ method: 'GET', path: '/fail/:how', versions: ['2023-01-01'], access: 'public', summary: 'Fails.' })
  fail(@PathParam('how') how: string) {
    if (how === 'api') throw new ApiError(409, 'CANNOT_DISABLE_ENCRYPTION_AT_REST', 'In use.', ['c1']).withHeader('retry-after', '3');
    throw new Error('password=hunter2 at postgres');
  }

  @AtlasRoute({ method: 'POST', path: '/api/oauth/token', access: 'public', summary: 'Form.', body: z.object({ grant_type: z.string() }) })
  token(@ValidBody() body: { grant_type: string }) {
    if (body.grant_type !== 'client_credentials') throw new BodyError(400, { error: 'unsupported_grant_type' });
    return { access_token: 'x' };
  }

  @AtlasRoute({
    method: 'POST',
    path: '/notifications',
    access: 'public',
    summary: 'JSON that calls itself text.',
    body: z.object({ Type: z.string() }),
    jsonAsPlainText: true,
  })
  notify(@ValidBody() body: { Type: string }) {
    return body;
  }

  @AtlasRoute({ method: 'GET', path: '/agent/v1/goal', access: 'agent', summary: 'Long poll.' })
  async goal(@RequestSignal() signal: AbortSignal, @Query('throws') throws?: string) {
    this.polls.push(signal);
    if (!signal.aborted) await once(signal, 'abort');
    if (throws === 'true') signal.throwIfAborted();
    return { changed: false, reason: (signal.reason as { code: string }).code };
  }

  @AtlasRoute({ method: 'GET', path: '/slow', access: 'public', summary: 'Slow.' })
  async slow() {
    await new Promise<void>((resolve) => (this.release = resolve));
    return { done: true };
  }
}

@Injectable()
class Guard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const access: unknown = Reflect.getMetadata(ACCESS_METADATA, context.getHandler());
    return access === 'public' || context.switchToHttp().getRequest<{ headers: Record<string, unknown> }>().headers['x-agent'] === 'yes';
  }
}

export class ThingModule {}
export const module: DynamicModule = {
  module: ThingModule,
  controllers: [ThingController],
  providers: [{ provide: APP_GUARD, useClass: Guard }],
};

@Controller()
export class Bare {
  @Get('/bare')
  bare() {}
}
@Controller()
export class NoGroup {
  @AtlasRoute({ method: 'GET', path: '/orgs', versions: ['2023-01-01'], access: { project: ['GROUP_OWNER'] }, summary: '' })
  orgs() {}
}
@Controller()
export class NoSchema {
  @AtlasRoute({ method: 'POST', path: '/x', access: 'public', summary: '' })
  x(@ValidBody() _body: unknown) {}
}
@Controller()
export class Twice {
  @AtlasRoute({ method: 'GET', path: '/x/:a', access: 'public', summary: '' })
  a() {}
  @AtlasRoute({ method: 'GET', path: '/x/:b', access: 'public', summary: '' })
  b() {}
}

/** A throw-away certificate for localhost, valid until 2126; its key protects nothing. */
export const tls = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUQu50z8BbdSHNQEPqJEvdZ3Z1UCUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzAzMjkyOFoYDzIxMjYxMDMw
MDMyOTI4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAT1vLMtO6smFnmmLZnpkO1h6xgsetkRCV/MlSeLRVBYOjUrHcf5Cy25
jvE13M7jLQ30wVQlsroTTjs8YDJ93A/No1MwUTAdBgNVHQ4EFgQUUJzt2sRsFOsj
m39Gu7VwKCPeqfgwHwYDVR0jBBgwFoAUUJzt2sRsFOsjm39Gu7VwKCPeqfgwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAuPenxkXhoY92uyIf1/V2
pwHvbfLFwHboVaHjxOTrJAsCIFPyXu8yVQjQmyL8N62a3MCN7fz1HX+ZVKK7N9kX
YN+V
-----END CERTIFICATE-----`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgRUITTYZE8hoKZJPu
/ZW+rpjmBoYVrZ0rHyHymLkDyP2hRANCAAT1vLMtO6smFnmmLZnpkO1h6xgsetkR
CV/MlSeLRVBYOjUrHcf5Cy25jvE13M7jLQ30wVQlsroTTjs8YDJ93A/N
-----END PRIVATE KEY-----`,
};
