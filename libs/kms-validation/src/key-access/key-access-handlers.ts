import {
  agentTaskAssigned,
  agentTaskFinished,
  agentTaskKeyRequested,
  agentTaskProgressed,
  type AgentTaskState,
  type EventDefinition,
  type EventEnvelope,
} from '@atrest/contracts';
import { defineHandler, Refusal, type EventHandler } from '@atrest/platform-messaging';
import { signalAfterCommit, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { KeyAccessRequestRepository } from './key-access-request.repository.js';

/** Wakes {@link KeyAccessAnswers}. */
export const KEY_ACCESS_CHANNEL = 'key-access';

export const keyAccessConsumes = [agentTaskKeyRequested] as readonly EventDefinition[];

/** On the same topic and of no interest here: what agents do with the access. */
export const keyAccessIgnores = [agentTaskAssigned, agentTaskProgressed, agentTaskFinished] as readonly EventDefinition[];

/** Only notes the request: what it takes to answer may last, and is done beside the inbox. */
export function keyAccessHandlers(requests: KeyAccessRequestRepository, clock: Clock): EventHandler[] {
  const note = async ({ data }: EventEnvelope<AgentTaskState>, tx: Transaction): Promise<void | Refusal> => {
    const { id: taskId, projectId, provider, hostId, hostSealingKey: sealingKey, revision } = data;
    if (provider === 'NONE' || hostId === null || sealingKey === null) {
      return new Refusal('A request for access to a key names its provider, the host and what to seal for.');
    }
    const request = { taskId, projectId, provider, hostId, sealingKey, revision, requestedAt: clock.now() };
    if ((await requests.remember(tx, request)) === 'remembered') signalAfterCommit(tx, KEY_ACCESS_CHANNEL);
    return undefined;
  };
  return [defineHandler(agentTaskKeyRequested, 'note-a-request-for-access-to-a-key', note)];
}
