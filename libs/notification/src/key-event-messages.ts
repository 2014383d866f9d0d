import type { KeyConfigurationState, NotificationState } from '@atrest/contracts';
import type { Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { KeyConfigurationEventName } from './alerts/alert.js';
import type { AlertRepository } from './alerts/alert.repository.js';
import type { MailContent } from './mail/mail-content.js';
import { attentionMessage, kmsReachableMessage, kmsUnreachableMessage } from './messages/attention-messages.js';
import {
  enforcementEndedMessage,
  keyEndApproachingMessage,
  keyEndCalledOffMessage,
  keyRotatedMessage,
  keyRotationDueMessage,
} from './messages/key-lifecycle-messages.js';
import { keyInvalidMessage, keyValidMessage, type KeyMessageFacts } from './messages/key-messages.js';
import type { ClusterProjection } from './projections/clusters.js';
import type { KnownBefore } from './projections/key-configurations.js';
import type { KnownProject } from './projections/projects.js';
import { unhandled } from './unhandled.js';

/** A message to the owners of a project. */
export interface Message {
  readonly kind: NotificationState['kind'];
  readonly content: MailContent;
  /** Set where the same cause is told at most once a day. */
  readonly pause?: string;
  /** It is a reminder: whoever acknowledged the alert, or does not want such alerts, does not get it. */
  readonly reminder?: true;
}

export interface KeyEventMessagesParts {
  readonly clusters: ClusterProjection;
  readonly alerts: AlertRepository;
  readonly clock: Clock;
  readonly publicUrl: string;
}

/** What the owners of a project are told of an event of its key configuration. */
export class KeyEventMessages {
  constructor(private readonly parts: KeyEventMessagesParts) {}

  /** Null when they are told nothing: a held shutdown is the operators' first, as it is probably not the owners' doing. */
  async of(
    tx: Transaction,
    name: KeyConfigurationEventName,
    project: KnownProject,
    configuration: KeyConfigurationState,
    before: KnownBefore,
  ): Promise<Message | null> {
    const { clusters, clock, publicUrl } = this.parts;
    const { id, provider } = configuration;
    const facts: KeyMessageFacts = { project, configuration, clusters: await clusters.using(tx, project.id, provider), publicUrl };
    switch (name) {
      case 'saved':
      case 'removed':
      case 'held':
      case 'hold-decided':
      case 'hold-overdue':
      case 'hold-ended':
        return null;
      case 'invalidated':
        return { kind: 'KEY_INVALID', content: keyInvalidMessage(facts) };
      case 'validated': {
        const since = await this.since(tx, id, `${provider}_ENCRYPTION_KEY_INVALID`);
        return { kind: 'KEY_VALID', content: keyValidMessage(facts, since, clock.now()) };
      }
      case 'policy-changed':
        return policyMessage(facts, before);
      case 'became-unreachable':
        return { kind: 'KMS_UNREACHABLE', content: kmsUnreachableMessage(facts), pause: `unreachable/${id}`, reminder: true };
      case 'unreachable-escalated':
        // The operators hear of it by an incident; nobody knows the addresses of the organisation's owners, so the project's owners hear again.
        if (configuration.alertLevel !== 'ORGANISATION_OWNERS') return null;
        return { kind: 'KMS_UNREACHABLE', content: kmsUnreachableMessage(facts), pause: `unreachable-still/${id}`, reminder: true };
      case 'became-reachable': {
        const since = await this.since(tx, id, 'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_DENIED');
        return { kind: 'KMS_REACHABLE', content: kmsReachableMessage(facts, since, clock.now()), pause: `reachable/${id}`, reminder: true };
      }
      case 'attention-needed':
        return { kind: 'ATTENTION_NEEDED', content: attentionMessage(facts), pause: attentionCause(configuration) };
      case 'end-approaching':
        return { kind: 'KEY_END_APPROACHING', content: keyEndApproachingMessage(facts), pause: endCause(configuration), reminder: true };
      case 'end-called-off':
        return { kind: 'KEY_END_CALLED_OFF', content: keyEndCalledOffMessage(facts) };
      case 'rotation-due':
        return { kind: 'KEY_NEEDS_ROTATION', content: keyRotationDueMessage(facts), pause: `rotation/${id}`, reminder: true };
      case 'rotated':
        return { kind: 'KEY_ROTATED', content: keyRotatedMessage(facts), reminder: true };
      default:
        return unhandled(name);
    }
  }

  private async since(tx: Transaction, id: string, eventType: Parameters<AlertRepository['latest']>[2]): Promise<Date | null> {
    return (await this.parts.alerts.latest(tx, id, eventType))?.createdAt ?? null;
  }
}

/** While a key is not usable, a change of the mode stops or starts databases. */
function policyMessage(facts: KeyMessageFacts, { mode }: KnownBefore): Message | null {
  const { configuration } = facts;
  if (configuration.state !== 'INVALID' || mode === null || mode === configuration.mode) return null;
  return configuration.mode === 'enforce'
    ? { kind: 'KEY_INVALID', content: keyInvalidMessage(facts) }
    : { kind: 'ENFORCEMENT_ENDED', content: enforcementEndedMessage(facts) };
}

/** Two different unknown errors are two causes. */
const attentionCause = ({ id, attention, evidence }: KeyConfigurationState): string =>
  `attention/${id}/${attention?.kind ?? ''}/${attention?.kind === 'UNCLASSIFIED_ERROR' ? (evidence.at(-1)?.errorName ?? '') : ''}`;

/** Each of the warnings is told once, also when the end is called off and announced again. */
const endCause = ({ id, ending }: KeyConfigurationState): string => `end/${id}/${ending?.at ?? ''}/${ending?.daysLeft ?? ''}`;
