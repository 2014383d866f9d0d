import { randomBytes } from 'node:crypto';
import { AGENT_USERNAME, newObjectId, type ClusterDocument, type ProcessAccessSecret } from '@atrest/contracts';
import { Refusal } from '../../refusal.js';

/** Who gets into a cluster, as far as everybody may know. */
export interface AccessSettings {
  /** Members prove a key file to each other that Atrest made, and nobody gets in without a login. */
  readonly control: boolean;
  /** Whom Atrest made an administrator. Each setting has an id of its own. */
  readonly administrator: { readonly id: string; readonly username: string } | null;
  /** How agents log in where the access control is not Atrest's. */
  readonly agent: { readonly kind: 'password'; readonly username: string; readonly authSource: string } | { readonly kind: 'x509' } | null;
  /** PEM text of the authority of the servers' certificates; null: connections without TLS. */
  readonly ca: string | null;
}

/** Clusters of releases before there was access control, and those for trying. */
export const OPEN_ACCESS: AccessSettings = { control: false, administrator: null, agent: null, ca: null };

/** What agents are told, but for the cluster's id. */
export type AccessSecret = Omit<ProcessAccessSecret, 'clusterId'>;

/** What is to be so from now on. */
export interface Access {
  readonly settings: AccessSettings;
  /** Null: agents need none. */
  readonly secret: AccessSecret | null;
}

const OPEN_SECRET: AccessSecret = { keyFile: null, login: null, administrator: null, tls: null };

/** 1,000 characters; mongod takes up to 1,024. */
const KEY_FILE_BYTES = 750;
const PASSWORD_BYTES = 32;

/** With one of these a server has an arrangement of its own about who gets in. */
const OWN_ARRANGEMENT = /^--?(auth|noauth|keyFile|clusterAuthMode|transitionToAuth)(=|$)/;

export const hasOwnArrangement = (process: { readonly extraArguments?: readonly string[] | null | undefined }): boolean =>
  (process.extraArguments ?? []).some((argument) => OWN_ARRANGEMENT.test(argument));

/** Agents have to be told how to get in. */
export const needsSecret = (settings: AccessSettings): boolean => settings.control || settings.agent !== null || settings.ca !== null;

/** Agents may change replica sets and clusters as far as the server is concerned. */
export const hasRights = (settings: AccessSettings): boolean => settings.control || settings.agent !== null;

/** Whether a document brings secrets of its owner: only a Project Owner may. */
export function bringsSecrets({ selfManaged }: ClusterDocument): boolean {
  return (
    selfManaged?.administrator?.password != null ||
    selfManaged?.agentAccess?.password != null ||
    selfManaged?.agentAccess?.x509?.certificate != null
  );
}

const invalid = (detail: string): Refusal => new Refusal('INVALID_CLUSTER_CONFIGURATION', detail);

const OWN_USERS =
  'The processes have their own access control, or none: Atrest makes no administrator there. Make the user yourself, and give the agents a login as selfManaged.agentAccess.';

/** The access to a new cluster: controlled, unless its processes have an arrangement of their own or it is asked for otherwise. @throws {Refusal} */
export function accessOfNew(document: ClusterDocument): Access {
  const asked = document.selfManaged;
  const own = (asked?.processes ?? []).find((process) => process.adopted === true || hasOwnArrangement(process));
  if (asked?.accessControl === true && own !== undefined) {
    throw invalid(
      'selfManaged.accessControl cannot be true for processes that existed before Atrest or are started with --auth, --keyFile, --clusterAuthMode or ' +
        '--transitionToAuth: they keep their own arrangement.',
    );
  }
  const control = asked?.accessControl ?? own === undefined;
  const begun: Access = control
    ? {
        settings: { ...OPEN_ACCESS, control },
        secret: {
          ...OPEN_SECRET,
          keyFile: randomBytes(KEY_FILE_BYTES).toString('base64'),
          login: {
            kind: 'password',
            username: AGENT_USERNAME,
            password: randomBytes(PASSWORD_BYTES).toString('base64url'),
            authSource: 'admin',
          },
        },
      }
    : { settings: OPEN_ACCESS, secret: null };
  return withGiven(begun, document) ?? begun;
}

/** What a document changes about the access to a cluster; null: nothing. @throws {Refusal} */
export function accessAfter(before: Access, document: ClusterDocument): Access | null {
  const { control } = before.settings;
  const asked = document.selfManaged?.accessControl;
  if (asked != null && asked !== control) {
    throw invalid('selfManaged.accessControl is decided when a cluster is created and cannot be changed.');
  }
  return withGiven(before, document);
}

/** What was read and comes back without its secrets asks for nothing. */
function withGiven(before: Access, document: ClusterDocument): Access | null {
  const steps = [withAdministrator, withAgentAccess, withTls];
  const after = steps.reduce((access, step) => step(access, document), before);
  return after === before ? null : after;
}

function withAdministrator(access: Access, { selfManaged }: ClusterDocument): Access {
  const asked = selfManaged?.administrator;
  const known = access.settings.administrator;
  if (asked == null || (asked.password == null && (asked.username ?? null) === (known?.username ?? null))) return access;
  const { username, password } = asked;
  if (username == null || password == null) {
    throw new Refusal('MISSING_ATTRIBUTE', 'selfManaged.administrator needs a username and a password.', ['selfManaged.administrator']);
  }
  if (!access.settings.control) throw invalid(OWN_USERS);
  if (username === AGENT_USERNAME || username === '__system') throw invalid(`The name ${username} is not free for an administrator.`);
  const administrator = { id: newObjectId(), username };
  return {
    settings: { ...access.settings, administrator },
    secret: { ...(access.secret ?? OPEN_SECRET), administrator: { ...administrator, password } },
  };
}

function withAgentAccess(access: Access, { selfManaged }: ClusterDocument): Access {
  const asked = selfManaged?.agentAccess;
  if (asked == null || isShown(asked, access.settings.agent)) return access;
  if (access.settings.control)
    throw invalid('selfManaged.agentAccess is for processes with their own access control: here Atrest made its user itself.');
  const secret = access.secret ?? OPEN_SECRET;
  if (asked.x509 != null) {
    const { certificate } = asked.x509;
    const ca = asked.x509.ca ?? selfManaged?.tls?.ca ?? access.settings.ca;
    if (certificate == null || ca == null) {
      throw new Refusal(
        'MISSING_ATTRIBUTE',
        'selfManaged.agentAccess.x509 needs a certificate with its private key, and the ca of the servers.',
        ['selfManaged.agentAccess.x509'],
      );
    }
    return {
      settings: { ...access.settings, agent: { kind: 'x509' }, ca },
      secret: { ...secret, login: { kind: 'x509' }, tls: { ca, certificate } },
    };
  }
  const { username, password, authSource } = asked;
  if (username == null || password == null) {
    throw new Refusal('MISSING_ATTRIBUTE', 'selfManaged.agentAccess needs a username and a password, or x509.', [
      'selfManaged.agentAccess',
    ]);
  }
  const agent = { kind: 'password', username, authSource: authSource ?? 'admin' } as const;
  return {
    settings: { ...access.settings, agent },
    secret: { ...secret, login: { ...agent, password }, tls: secret.tls === null ? null : { ...secret.tls, certificate: null } },
  };
}

type AskedAgentAccess = NonNullable<NonNullable<ClusterDocument['selfManaged']>['agentAccess']>;

/** It is what answers show. */
function isShown(asked: AskedAgentAccess, known: AccessSettings['agent']): boolean {
  if (known === null || asked.password != null || asked.x509?.certificate != null) return false;
  if (known.kind === 'x509') return asked.x509 != null;
  return asked.username === known.username && (asked.authSource ?? 'admin') === known.authSource;
}

function withTls(access: Access, { selfManaged }: ClusterDocument): Access {
  const ca = selfManaged?.tls?.ca;
  if (ca == null || ca === access.settings.ca) return access;
  const secret = access.secret ?? OPEN_SECRET;
  return { settings: { ...access.settings, ca }, secret: { ...secret, tls: { ca, certificate: secret.tls?.certificate ?? null } } };
}

const HOW_TO_SET =
  'Nobody but the agents gets in. PATCH the cluster with {"selfManaged": {"administrator": {"username": "…", "password": "…"}}} to have a user with the role root made.';

/** Who gets into a cluster, for its document. @param carriedOut ids of the settings that agents report as carried out */
export function renderAccess(settings: AccessSettings, carriedOut: readonly string[]): object {
  const { control, administrator, agent, ca } = settings;
  return {
    accessControl: control,
    ...(control && {
      administrator:
        administrator === null
          ? { username: null, hint: HOW_TO_SET }
          : { username: administrator.username, state: carriedOut.includes(administrator.id) ? 'SET' : 'PENDING' },
    }),
    ...(agent !== null && {
      agentAccess: agent.kind === 'x509' ? { x509: {} } : { username: agent.username, authSource: agent.authSource },
    }),
    ...(ca !== null && { tls: { ca } }),
  };
}
