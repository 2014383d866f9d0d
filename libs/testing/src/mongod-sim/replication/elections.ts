import { Int32, Long, ObjectId } from 'bson';
import { CommandError } from '../commands/command-error.js';
import { type Doc, numberOf, truthy } from '../bson-values.js';
import { opTimeDocument, opTimeFrom } from './op-time.js';
import { electionObstacle, voteRefusal } from './rules.js';
import type { SetState, WonElection } from './set-state.js';

const CONTEXT = 'ReplCoord-1';
/** Share of the election timeout that is drawn at random on top of it, so that members do not compete (mongod: 15 %). */
const RANDOM_SHARE = 0.15;
const ELECTION_NS = 'local.replset.election';

export interface ElectionHooks {
  learnTerm(term: number): void;
  won(election: WonElection): Promise<void>;
}

/** Seeks and gives votes. */
export class Elections {
  readonly #set: SetState;
  readonly #hooks: ElectionHooks;
  #timer: NodeJS.Timeout | undefined;
  #campaigning = false;

  constructor(set: SetState, hooks: ElectionHooks) {
    this.#set = set;
    this.#hooks = hooks;
  }

  /** Starts the election timeout anew: a primary was heard, a vote was given, or the role changed. */
  postpone(): void {
    clearTimeout(this.#timer);
    const set = this.#set;
    if (set.stopped || set.config === undefined || set.state === 'PRIMARY') return;
    const wait = set.electionTimeoutMs * (1 + Math.random() * RANDOM_SHARE);
    this.#timer = setTimeout(() => void this.#timedOut(), wait);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** `replSetStepUp`. Rejects with CommandFailed (125) when the election is lost. */
  async stepUp(skipDryRun: boolean): Promise<void> {
    const set = this.#set;
    if (set.state === 'PRIMARY') return;
    set.server.log.info(CONTEXT, 'COMMAND', 21581, 'Received replSetStepUp request');
    const won = await this.#campaign(skipDryRun ? 'stepUpRequestSkipDryRun' : 'stepUpRequest', () =>
      set.server.log.info(CONTEXT, 'ELECTION', 4615661, 'Starting an election due to step up request'),
    );
    if (won) return;
    set.server.log.info(CONTEXT, 'COMMAND', 21582, 'replSetStepUp request failed', { error: 'CommandFailed: Election failed.' });
    throw new CommandError(125, 'Election failed.');
  }

  /** Seeks election at once when this is the only voter. */
  electAloneIfPossible(): void {
    if (this.#set.voters === 1 && this.#set.me?.votes === 1) void this.#campaign('electionTimeout', () => undefined);
  }

  /** Answers a request for a vote. */
  async answer(command: Doc): Promise<Doc> {
    const set = this.#set;
    if (set.config === undefined) throw new CommandError(94, 'no replset config has been received');
    if (set.server.stopping) throw new CommandError(91, 'In the process of shutting down');
    const term = numberOf(command['term']) ?? -1;
    const dryRun = truthy(command['dryRun']);
    const candidateIndex = numberOf(command['candidateIndex']) ?? -1;
    const refusal = voteRefusal(
      {
        setName: set.setName,
        term: set.term,
        configVersion: set.config.version,
        configTerm: set.config.term,
        lastApplied: set.lastApplied,
        lastVoteTerm: set.vote.term,
      },
      {
        setName: String(command['setName']),
        dryRun,
        term,
        configVersion: numberOf(command['configVersion']) ?? -2,
        configTerm: numberOf(command['configTerm']) ?? -1,
        lastApplied: opTimeFrom(command['lastAppliedOpTime']),
      },
    );
    if (!dryRun) this.#hooks.learnTerm(term);
    if (refusal === undefined && !dryRun) {
      await this.#remember(term, candidateIndex);
      this.postpone();
    }
    const reply = { term: Long.fromNumber(set.term), voteGranted: refusal === undefined, reason: refusal ?? '' };
    set.server.log.info('conn', 'ELECTION', 23980, 'Responding to vote request', {
      request: { term, dryRun, candidateIndex },
      response: reply,
    });
    return reply;
  }

  async #timedOut(): Promise<void> {
    const set = this.#set;
    if (set.state === 'PRIMARY') return; // It was elected while this timeout ran.
    if (set.primary === undefined) {
      await this.#campaign('electionTimeout', () =>
        set.server.log.info(CONTEXT, 'ELECTION', 4615652, "Starting an election, since we've seen no PRIMARY in election timeout period", {
          electionTimeoutPeriodMillis: set.electionTimeoutMs,
        }),
      );
    } else {
      // It stopped answering without refusing a connection: heartbeats still wait for it.
      set.setPrimary(undefined);
      await this.#campaign('electionTimeout', () => undefined);
    }
    this.postpone();
  }

  async #campaign(reason: WonElection['reason'], announce: () => void): Promise<boolean> {
    const set = this.#set;
    if (this.#campaigning || set.stopped || set.server.stopping) return false;
    const obstacle = electionObstacle({
      state: set.state,
      priority: set.me?.priority ?? 0,
      votesUp: set.votesUp(),
      voters: set.voters,
      frozenUntil: reason === 'electionTimeout' ? set.frozenUntil : 0,
      now: Date.now(),
    });
    if (obstacle !== undefined) {
      set.server.log.info(CONTEXT, 'ELECTION', 4615655, 'Not starting an election, since we are not electable', { reason: obstacle });
      return false;
    }
    this.#campaigning = true;
    try {
      announce();
      return await this.#run(reason);
    } finally {
      this.#campaigning = false;
    }
  }

  async #run(reason: WonElection['reason']): Promise<boolean> {
    const set = this.#set;
    const { log } = set.server;
    const seenAtElection = set.lastApplied;
    const committedAtElection = set.committed;
    const term = set.term;
    if (reason !== 'stepUpRequestSkipDryRun') {
      log.info(CONTEXT, 'ELECTION', 21438, 'Conducting a dry run election to see if we could be elected', { currentTerm: term });
      if (!(await this.#collect(term, true)) || set.term !== term || set.state !== 'SECONDARY') return this.#lost(true);
      log.info(CONTEXT, 'ELECTION', 21444, 'Dry election run succeeded, running for election', { newTerm: term + 1 });
    } else {
      log.info(CONTEXT, 'ELECTION', 21437, 'Skipping dry run and running for election', { newTerm: term + 1 });
    }
    const newTerm = term + 1;
    if (set.vote.term >= newTerm) return this.#lost(false);
    set.term = newTerm;
    await this.#remember(newTerm, set.self);
    if (!(await this.#collect(newTerm, false)) || set.term !== newTerm || set.state !== 'SECONDARY' || set.server.stopping)
      return this.#lost(false);
    log.info(CONTEXT, 'ELECTION', 21450, 'Election succeeded, assuming primary role', { term: newTerm });
    set.electionId = new ObjectId(`7fffffff${newTerm.toString(16).padStart(16, '0')}`);
    await this.#hooks.won({ reason, date: new Date(), term: newTerm, seenAtElection, committedAtElection, newTermStart: new Date() });
    return true;
  }

  #lost(isDryRun: boolean): false {
    this.#set.server.log.info(CONTEXT, 'ELECTION', 21434, 'Lost election', { isDryRun });
    return false;
  }

  /** Asks all voters at once; resolves as soon as a majority agrees or can no longer be had. */
  #collect(term: number, dryRun: boolean): Promise<boolean> {
    const set = this.#set;
    const request: Doc = {
      replSetRequestVotes: new Int32(1),
      setName: set.setName,
      dryRun,
      term: Long.fromNumber(term),
      candidateIndex: Long.fromNumber(set.self),
      configVersion: Long.fromNumber(set.config?.version ?? -2),
      configTerm: Long.fromNumber(set.config?.term ?? -1),
      lastAppliedOpTime: opTimeDocument(set.lastApplied),
    };
    const needed = set.majority;
    let granted = set.me?.votes ?? 0;
    const voters = set.others().filter(({ member }) => member.config.votes > 0);
    let open = voters.length;
    return new Promise((resolve) => {
      const decide = (): void => {
        if (granted >= needed) resolve(true);
        else if (granted + open < needed) resolve(false);
      };
      decide();
      for (const { member } of voters) {
        set.server.log.info(CONTEXT, 'REPL', 21752, 'Scheduling remote command request', {
          context: 'vote request',
          request: { target: member.config.host, term, dryRun },
        });
        member.control
          .command('admin', request, set.electionTimeoutMs)
          .then(
            (reply) => {
              if (truthy(reply['voteGranted'])) granted += 1;
              set.server.log.info(CONTEXT, 'ELECTION', 51799, 'VoteRequester processResponse', {
                term,
                dryRun,
                vote: truthy(reply['voteGranted']) ? 'yes' : 'no',
                from: member.config.host,
                message: { reason: reply['reason'] },
              });
              this.#hooks.learnTerm(numberOf(reply['term']) ?? 0);
            },
            (error: unknown) => {
              set.server.log.info(CONTEXT, 'ELECTION', 51799, 'VoteRequester processResponse', {
                term,
                dryRun,
                failReason: 'failed to receive response',
                error: error instanceof Error ? error.message : 'unknown',
                from: member.config.host,
              });
            },
          )
          .finally(() => {
            open -= 1;
            decide();
          });
      }
    });
  }

  /** Writes down a vote before it is given: after a restart it must not be given again. */
  async #remember(term: number, candidateIndex: number): Promise<void> {
    const { writer, engine } = this.#set.server;
    this.#set.vote = { term, candidateIndex };
    const doc = { _id: 'election', term: Long.fromNumber(term), candidateIndex: Long.fromNumber(candidateIndex) };
    writer.write([{ op: 'replace', ns: ELECTION_NS, doc }]);
    await engine.sync();
  }

  /** Reads the vote of an earlier run. */
  recover(): boolean {
    const doc = this.#set.server.engine.collection(ELECTION_NS)?.get('election');
    if (doc === undefined) return false;
    this.#set.vote = { term: numberOf(doc['term']) ?? -1, candidateIndex: numberOf(doc['candidateIndex']) ?? -1 };
    return true;
  }
}
