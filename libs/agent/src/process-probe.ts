import type { ProcessAccessSecret, ProcessGoal, ProcessObservation, ReplicaSetChanges } from '@atrest/contracts';
import {
  chooseStepUp,
  MongodConnection,
  parseAddress,
  type CommandOutcome,
  type Hello,
  type MongodAddress,
  type MongodConnectionOptions,
  type StepUpChoice,
} from '@atrest/mongod';
import { BackgroundLoop } from '@atrest/platform-time';
import { missingShards, type RouterView, type SetView } from './converge.js';
import { administratorOf, connectionOptions } from './process-access.js';
import { lookAtUsers, type UsersView } from './server-users.js';
import { nextMembershipStep, type MembershipStep, type SetConfiguration } from './membership.js';

/** What a server said of itself when it was last asked. */
export interface ProbeView {
  readonly answers: boolean;
  readonly hello: Hello | null;
  readonly version: string | null;
  readonly set: SetView | null;
  readonly router: RouterView | null;
  /** Only of a primary, while changes of its set are ordered. */
  readonly membership: MembershipView | null;
  /** Only of a primary that was started with access control by its agent. */
  readonly users: UsersView | null;
  /** Why the server does not take the login that was given for it. */
  readonly loginRefused: string | null;
}

/** A set as its primary has it, and what follows for its agent. */
export interface MembershipView {
  readonly step: MembershipStep;
  /** With votes and priority where the agent may read the configuration. */
  readonly members: NonNullable<ProcessObservation['setMembers']> | null;
  readonly configuration: Record<string, unknown> | null;
}

export interface ProcessProbeOptions {
  readonly goal: () => ProcessGoal;
  /** How to get into the process and the others of its cluster; null: without a login. */
  readonly access: () => ProcessAccessSecret | null;
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
}

/** While something is expected to change (no primary yet, shards missing). A tenth of a second of the four that a set needs to be writable. */
const HURRY_MS = 150;
/** When everything is as it should be. */
const CALM_MS = 1_000;
/** A single missed answer of a busy server is no news. */
const MISSED_ANSWERS = 3;

/** What is known of a process that does not answer. */
export const NOTHING_KNOWN: ProbeView = {
  answers: false,
  hello: null,
  version: null,
  set: null,
  router: null,
  membership: null,
  users: null,
  loginRefused: null,
};

/** Asks one running process, and for a leading process its set or cluster, how it is. Runs beside the supervisor, which never waits for it. */
export class ProcessProbe {
  readonly #options: ProcessProbeOptions;
  #connection: MongodConnection;
  /** What the connection was made with. */
  #connected: string;
  #loggedIn = false;
  readonly #calm: BackgroundLoop;
  #hurry: NodeJS.Timeout | undefined;
  #missed = 0;
  #primarySeen = false;
  #asked = false;
  #view: ProbeView = NOTHING_KNOWN;

  constructor(options: ProcessProbeOptions) {
    this.#options = options;
    this.#connection = this.connect();
    this.#connected = this.#wanted();
    this.#calm = new BackgroundLoop({
      name: 'process probe',
      intervalMs: CALM_MS,
      run: async () => {
        clearTimeout(this.#hurry);
        await this.#ask();
        if (this.#isExpectingChange()) this.#hurry = setTimeout(() => this.#calm.wake(), HURRY_MS).unref();
      },
      onError: options.onError,
    });
  }

  get view(): ProbeView {
    return this.#view;
  }

  /** It has been asked, whether it answered or not. */
  get asked(): boolean {
    return this.#asked;
  }

  /** For commands to the process itself. */
  get connection(): MongodConnection {
    return this.#connection;
  }

  /** A connection to this process, or to another one of its cluster, with the login that there is for it. The caller closes it. */
  connect(address?: MongodAddress, limits: Pick<MongodConnectionOptions, 'timeoutMs' | 'longestAnswerMs'> = {}): MongodConnection {
    return new MongodConnection({ ...connectionOptions(this.#options.goal(), this.#options.access(), address), ...limits });
  }

  start(): void {
    this.#calm.start();
  }

  /** The log has news: ask now. */
  wake(): void {
    this.#calm.wake();
  }

  /** Ends at once: what is under way fails with the connection. */
  async stop(): Promise<void> {
    clearTimeout(this.#hurry);
    const stopped = this.#calm.stop();
    await this.#connection.close();
    await stopped;
    clearTimeout(this.#hurry);
  }

  #wanted(): string {
    return JSON.stringify(connectionOptions(this.#options.goal(), this.#options.access()));
  }

  /** Other credentials were given: what runs on the old connection fails, and is tried again. */
  async #reconnect(): Promise<void> {
    const wanted = this.#wanted();
    if (wanted === this.#connected) return;
    const before = this.#connection;
    this.#connection = this.connect();
    this.#connected = wanted;
    this.#loggedIn = false;
    await before.close();
  }

  #isExpectingChange(): boolean {
    const { hello, set, router, membership, users } = this.#view;
    if (hello === null || users?.kind === 'missing' || (membership !== null && membership.step.kind !== 'none')) return true;
    if (hello.kind === 'mongos') return missingShards(this.#options.goal(), router) === null;
    return this.#options.goal().replicaSet !== null && hello.primary === null && !hello.writable && (set === null || !set.primarySeen);
  }

  async #ask(): Promise<void> {
    await this.#reconnect();
    const before = this.#view;
    const outcome = await this.#connection.hello();
    this.#asked = true;
    if (!outcome.ok) {
      this.#missed += 1;
      if (this.#missed >= MISSED_ANSWERS) this.#set({ ...NOTHING_KNOWN, version: before.version });
      return;
    }
    this.#missed = 0;
    const hello = outcome.value;
    if (hello.primary !== null || hello.memberState === 'PRIMARY') {
      this.#primarySeen = true;
      // There are users, or will be soon: the agent acts as one of the members no longer than it has to.
      this.#connection.loginAgain();
    }
    const version = before.version ?? valueOf(await this.#connection.version());
    const goal = this.#options.goal();
    this.#set({
      answers: true,
      hello,
      version,
      set: goal.replicaSet?.leads ? await this.#lookAtSet(goal, hello) : null,
      router: goal.router?.leads && hello.kind === 'mongos' ? await this.#lookAtRouter(before.router) : null,
      membership: goal.replicaSet?.changes && hello.memberState === 'PRIMARY' ? await this.#lookAtMembers(goal.replicaSet.changes) : null,
      users: await this.#lookAtUsers(goal, hello, before.users),
      loginRefused: await this.#tryLogin(),
    });
  }

  /** Not asked again once they are as they should be: nobody but an agent changes that, and it looks again at its next primary. */
  async #lookAtUsers(goal: ProcessGoal, hello: Hello, before: UsersView | null): Promise<UsersView | null> {
    const access = this.#options.access();
    if (access === null || access.keyFile === null || access.login === null || hello.memberState !== 'PRIMARY') return null;
    const isUnchanged = before?.kind === 'in-place' && before.administrator === (administratorOf(goal, access)?.id ?? null);
    return isUnchanged ? before : lookAtUsers(this.#connection, goal, access);
  }

  /** A login that was given from outside may be wrong, and nobody would know before it is needed. */
  async #tryLogin(): Promise<string | null> {
    const access = this.#options.access();
    if (this.#loggedIn || access === null || access.keyFile !== null || access.login === null) return null;
    const outcome = await this.#connection.ping();
    this.#loggedIn = outcome.ok;
    if (outcome.ok || outcome.failure.kind !== 'authentication-failed') return null;
    return `The server does not take the login that was given for the agent: ${outcome.failure.message}`;
  }

  async #lookAtMembers(changes: ReplicaSetChanges): Promise<MembershipView> {
    const [configured, status] = await Promise.all([this.#connection.setConfiguration(), this.#connection.replicaSetStatus()]);
    if (configured.ok && status.ok) {
      const { version, members } = configured.value as unknown as SetConfiguration;
      return {
        step: nextMembershipStep(changes, { version, members }, status.value),
        members: members.map(({ host, votes, priority }) => ({ host, votes, priority })),
        configuration: configured.value,
      };
    }
    const { failure } = configured.ok ? (status as Extract<typeof status, { ok: false }>) : configured;
    if (failure.kind !== 'unauthorized' && failure.kind !== 'authentication-failed')
      return { step: { kind: 'wait', because: failure.message }, members: null, configuration: null };
    // Who has the rights can change the set by hand; that it has happened is told to everybody.
    const hosts = valueOf(await this.#connection.setHosts());
    const because =
      'The agent has no right to change this replica set. Do it yourself: ' +
      [...changes.joining.map((member) => `rs.add("${member.host}")`), ...changes.leaving.map((host) => `rs.remove("${host}")`)].join(', ');
    const isDone =
      hosts !== null && changes.joining.every((each) => hosts.includes(each.host)) && !changes.leaving.some((each) => hosts.includes(each));
    return {
      step: isDone ? { kind: 'none' } : { kind: 'blocked', because },
      members: hosts?.map((host) => ({ host })) ?? null,
      configuration: null,
    };
  }

  async #lookAtSet(goal: ProcessGoal, hello: Hello): Promise<SetView> {
    if (hello.kind === 'uninitialized') return { self: 'uninitialized', primarySeen: false, peers: await this.#peers(goal), choice: null };
    if (hello.kind !== 'member') return { self: 'other', primarySeen: false, peers: 'unknown', choice: null };
    const choice = this.#primarySeen ? null : await this.#choice(goal);
    return { self: 'member', primarySeen: this.#primarySeen, peers: 'unknown', choice };
  }

  async #choice(goal: ProcessGoal): Promise<StepUpChoice> {
    const status = await this.#connection.replicaSetStatus();
    if (!status.ok) return { kind: 'wait', because: status.failure.message };
    const choice = chooseStepUp(status.value, goal.replicaSet?.members ?? []);
    if (choice.kind === 'has-primary') this.#primarySeen = true;
    return choice;
  }

  /** The other members of a set that is not initiated here: all must be there and know of no configuration, or the data of one might be given up. */
  async #peers(goal: ProcessGoal): Promise<SetView['peers']> {
    const others = (goal.replicaSet?.members ?? []).filter((member) => !isSelf(member.host, goal));
    const seen = await Promise.all(others.map((member) => peerKind(this.connect(parseAddress(member.host)))));
    if (seen.includes('initialized')) return 'initialized';
    return seen.includes('unreachable') ? 'unreachable' : 'uninitialized';
  }

  async #lookAtRouter(before: RouterView | null): Promise<RouterView> {
    const shards = valueOf(await this.#connection.listShards());
    // Without its config servers a mongos goes on with what it knows, and so do we.
    return { shards: shards?.map((shard) => shard.name) ?? before?.shards ?? null };
  }

  #set(view: ProbeView): void {
    const changed = JSON.stringify(view) !== JSON.stringify(this.#view);
    this.#view = view;
    if (changed) this.#options.onChange();
  }
}

/** Members are told apart by port and, where several hosts use the same port, by name. */
function isSelf(host: string, goal: ProcessGoal): boolean {
  const address = parseAddress(host);
  if (address.port !== goal.port) return false;
  const samePort = (goal.replicaSet?.members ?? []).filter((member) => parseAddress(member.host).port === goal.port);
  return samePort.length === 1 || goal.bindIp.split(',').some((bound) => bound.trim() === address.host);
}

async function peerKind(connection: MongodConnection): Promise<'uninitialized' | 'initialized' | 'unreachable'> {
  try {
    const outcome = await connection.hello();
    if (!outcome.ok) return 'unreachable';
    return outcome.value.kind === 'uninitialized' ? 'uninitialized' : 'initialized';
  } finally {
    await connection.close();
  }
}

function valueOf<T>(outcome: CommandOutcome<T>): T | null {
  return outcome.ok ? outcome.value : null;
}
