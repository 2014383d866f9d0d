import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { FaultSchema, type ActiveFault, type Fault } from './faults.js';
import type { Denial } from './kms-store.js';

const KeyRequest = z.strictObject({
  alias: z.string().optional(),
  region: z.string().optional(),
  description: z.string().optional(),
  keySpec: z.string().optional(),
  keyUsage: z.string().optional(),
});
const DenialRequest = z.strictObject({
  keyId: z.string().optional(),
  accessKeyId: z.string().optional(),
  operations: z.array(z.string()).optional(),
});
const DeletionRequest = z.strictObject({ pendingWindowInDays: z.int().min(0).max(30).default(30) });
const AliasRequest = z.strictObject({ keyId: z.string() });
const RotationRequest = z.strictObject({ periodDays: z.int().min(90).max(2560).nullable() });
const RoleRequest = z.strictObject({ name: z.string().optional(), externalId: z.string().optional(), region: z.string().optional() });
const AccessKeyRequest = z.strictObject({ userName: z.string().optional() });

/** What the interface controls. */
export interface ControllableKms {
  readonly accountId: string;
  readonly region: string;
  keys(): readonly object[];
  accessKeyIds(): readonly string[];
  roles(): readonly object[];
  createRole(o: Record<string, string>): string;
  deleteRole(arn: string): void;
  setRotation(id: string, periodDays: number | null): void;
  calls(): readonly object[];
  createAccessKey(o: { userName?: string }): object;
  disableAccessKey(id: string): void;
  enableAccessKey(id: string): void;
  deleteAccessKey(id: string): void;
  createKey(o: Record<string, string>): object;
  disableKey(id: string): void;
  enableKey(id: string): void;
  scheduleKeyDeletion(id: string, days: number): void;
  cancelKeyDeletion(id: string): void;
  destroyKey(id: string): void;
  pointAlias(alias: string, keyId: string): void;
  deny(denial: Omit<Denial, 'id'>): Denial;
  allow(id?: string): void;
  denials(): readonly Denial[];
  inject(fault: Fault): ActiveFault;
  clearFaults(id?: string): void;
  activeFaults(): readonly ActiveFault[];
}

type Route = { readonly method: string; readonly path: RegExp; readonly run: (parameter: string, body: unknown) => unknown };

/**
 * `/_control`: the same control as the class has, for people and scripts. Without authentication, so it answers only to names of the
 * loopback and never to a web page.
 */
export class ControlInterface {
  private readonly routes: readonly Route[];

  constructor(kms: ControllableKms) {
    const text = (value: object): Record<string, string> =>
      Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => entry[1] !== undefined));
    this.routes = [
      {
        method: 'GET',
        path: /^$/,
        run: () => ({
          notice: 'A development tool. It protects nothing.',
          accountId: kms.accountId,
          region: kms.region,
          keys: kms.keys(),
          accessKeyIds: kms.accessKeyIds(),
          roles: kms.roles(),
          denials: kms.denials(),
          faults: kms.activeFaults(),
        }),
      },
      { method: 'GET', path: /^\/calls$/, run: () => kms.calls() },
      { method: 'POST', path: /^\/access-keys$/, run: (_, body) => kms.createAccessKey(text(AccessKeyRequest.parse(body))) },
      { method: 'POST', path: /^\/access-keys\/(\w+)\/disable$/, run: (id) => kms.disableAccessKey(id) },
      { method: 'POST', path: /^\/access-keys\/(\w+)\/enable$/, run: (id) => kms.enableAccessKey(id) },
      { method: 'DELETE', path: /^\/access-keys\/(\w+)$/, run: (id) => kms.deleteAccessKey(id) },
      { method: 'POST', path: /^\/roles$/, run: (_, body) => ({ arn: kms.createRole(text(RoleRequest.parse(body))) }) },
      { method: 'DELETE', path: /^\/roles\/(arn:[\w:/+=,.@-]+)$/, run: (arn) => kms.deleteRole(arn) },
      { method: 'POST', path: /^\/keys$/, run: (_, body) => kms.createKey(text(KeyRequest.parse(body))) },
      { method: 'POST', path: /^\/keys\/([\w-]+)\/disable$/, run: (id) => kms.disableKey(id) },
      { method: 'POST', path: /^\/keys\/([\w-]+)\/enable$/, run: (id) => kms.enableKey(id) },
      {
        method: 'POST',
        path: /^\/keys\/([\w-]+)\/schedule-deletion$/,
        run: (id, body) => kms.scheduleKeyDeletion(id, DeletionRequest.parse(body).pendingWindowInDays),
      },
      { method: 'POST', path: /^\/keys\/([\w-]+)\/cancel-deletion$/, run: (id) => kms.cancelKeyDeletion(id) },
      {
        method: 'POST',
        path: /^\/keys\/([\w-]+)\/rotation$/,
        run: (id, body) => kms.setRotation(id, RotationRequest.parse(body).periodDays),
      },
      { method: 'DELETE', path: /^\/keys\/([\w-]+)$/, run: (id) => kms.destroyKey(id) },
      { method: 'PUT', path: /^\/aliases\/([\w/-]+)$/, run: (alias, body) => kms.pointAlias(alias, AliasRequest.parse(body).keyId) },
      {
        method: 'POST',
        path: /^\/denials$/,
        run: (_, body) => {
          const { operations, ...rest } = DenialRequest.parse(body);
          return kms.deny({ ...text(rest), ...(operations && { operations }) });
        },
      },
      { method: 'DELETE', path: /^\/denials\/?([\w-]*)$/, run: (id) => kms.allow(id === '' ? undefined : id) },
      { method: 'POST', path: /^\/faults$/, run: (_, body) => kms.inject(FaultSchema.parse(body)) },
      { method: 'DELETE', path: /^\/faults\/?([\w-]*)$/, run: (id) => kms.clearFaults(id === '' ? undefined : id) },
    ];
  }

  serve(request: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const reply = (status: number, value: unknown): void => {
      response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
      response.end(`${JSON.stringify(value ?? {}, null, 2)}\n`);
    };
    const host = (request.headers.host ?? '').replace(/:\d+$/, '');
    // A page in a browser could reach the loopback by itself or through a name that resolves to it.
    if (request.headers.origin !== undefined || !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(host)) {
      reply(403, { error: 'The control interface does not answer to web pages or foreign host names.' });
      return;
    }
    const path = (request.url ?? '').slice('/_control'.length).replace(/[/?]+$/, '');
    const route = this.routes.find((candidate) => candidate.method === request.method && candidate.path.test(path));
    if (route === undefined) {
      reply(404, { error: `There is no ${request.method} /_control${path}.` });
      return;
    }
    try {
      const input: unknown = body.length === 0 ? {} : JSON.parse(body.toString('utf8'));
      reply(200, route.run(route.path.exec(path)?.[1] ?? '', input));
    } catch (error) {
      reply(400, { error: error instanceof z.ZodError ? z.prettifyError(error) : error instanceof Error ? error.message : String(error) });
    }
  }
}
