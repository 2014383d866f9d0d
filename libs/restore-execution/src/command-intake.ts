import {
  restoreCommandRequested,
  type EventDefinition,
  type EventEnvelope,
  type RestoreCommand,
  type RoleGrant,
  type ServiceAccountState,
} from '@atrest/contracts';
import type { AccessStore } from '@atrest/platform-auth';
import { defineHandler, type EventHandler, type Refusal } from '@atrest/platform-messaging';
import type { Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { z } from 'zod';
import type { CommandAnswers, SignedCommand } from './command-answers.js';
import { decide, type RestoreEnd } from './command-decision.js';
import { digestOf } from './command-digest.js';
import { commandOf, jwsOf } from './command-message.js';
import { claimedSigner, verifiedPayload, type ClaimedSigner } from './command-signature.js';
import type { Patience } from './patience.js';
import type { ClusterProjection } from './projections/cluster-projection.js';
import type { ProjectProjection } from './projections/project-projection.js';
import type { RestoreCommandRepository } from './restore-command.repository.js';

/** What arrives may be anything: it is judged here and not by the transport, because whoever sent it gets an answer. */
export const commandConsumes: EventDefinition = {
  type: restoreCommandRequested.type,
  topic: restoreCommandRequested.topic,
  schema: z.unknown(),
  description: restoreCommandRequested.description,
  subjectOf: () => 'command',
};

type Message = Pick<EventEnvelope, 'id' | 'type' | 'data'>;

export interface CommandIntakeParts {
  readonly access: AccessStore;
  readonly projects: ProjectProjection;
  readonly clusters: ClusterProjection;
  readonly commands: RestoreCommandRepository;
  readonly answers: CommandAnswers;
  readonly patience: Patience;
  readonly clock: Clock;
}

/** Takes restore commands in: each message is verified, decided, recorded and answered once, in one transaction. */
export class CommandIntake {
  constructor(private readonly parts: CommandIntakeParts) {}

  handler(): EventHandler {
    return defineHandler(commandConsumes, 'take-in-restore-command', (event, tx) => this.take(event, tx), { alsoUnknownTypes: true });
  }

  /**
   * A second delivery of a message does nothing; so does the same command in another message.
   * @throws NotYetKnownError for the message to be tried again
   */
  async take(message: Message, tx: Transaction): Promise<void | Refusal> {
    const { commands, answers, patience, access } = this.parts;
    if (await commands.isDecided(tx, message.id)) return undefined;
    const read = jwsOf(message);
    if ('problem' in read) return answers.unverified(tx, message.id, 'INVALID_MESSAGE', read.problem);
    const signer = claimedSigner(read.jws);
    if ('problem' in signer) return answers.unverified(tx, message.id, 'INVALID_SIGNATURE', signer.problem);

    const account = await access.holdAccount(tx, signer.clientId);
    if (account === undefined || (account.deletedAt === null && !hasKey(account, signer))) patience.hopeFor(message.id);
    else patience.fulfilled(message.id);
    if (account === undefined || account.deletedAt !== null) {
      return answers.unverified(tx, message.id, 'UNKNOWN_ACCOUNT', 'the service account that the kid names does not exist');
    }
    const payload = await verifiedPayload(read.jws, signer.kid, account.signingKeys);
    if (payload === null) {
      return answers.unverified(tx, message.id, 'INVALID_SIGNATURE', "the signature was not made with one of the account's signing keys");
    }

    const parsed = commandOf(payload);
    if ('problem' in parsed) {
      return answers.unreadable(tx, message.id, { signedBy: account.clientId, commandId: parsed.commandId }, parsed.problem);
    }
    return this.decide(tx, message.id, { command: parsed.command, signedBy: account.clientId }, account.grants);
  }

  private async decide(tx: Transaction, messageId: string, signed: SignedCommand, grants: readonly RoleGrant[]): Promise<void | Refusal> {
    const { command, signedBy } = signed;
    const digest = digestOf(command);
    const earlier = await this.parts.commands.lockEarlier(tx, signedBy, command.idempotencyKey);
    const [source, target] = [await this.end(tx, command.source), await this.end(tx, command.target)];
    const decision = decide(command, { signedBy, grants, digest, earlier, source, target }, this.parts.clock.now());
    return this.parts.answers.decided(tx, messageId, { ...signed, digest }, decision);
  }

  private async end(tx: Transaction, reference: RestoreCommand['source']): Promise<RestoreEnd> {
    return {
      project: await this.parts.projects.find(tx, reference.projectId),
      cluster: await this.parts.clusters.presence(tx, reference),
    };
  }
}

const hasKey = (account: ServiceAccountState, { kid }: ClaimedSigner): boolean => account.signingKeys.some((key) => key.kid === kid);
