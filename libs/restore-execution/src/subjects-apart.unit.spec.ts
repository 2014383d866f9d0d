import { deadLetterTopicOf, topics } from '@atrest/contracts';
import type { EventTransport, OutgoingEvent, ReceivedEvent, Subscription } from '@atrest/platform-messaging';
import { expect, it } from 'vitest';
import { withCommandsApart } from './subjects-apart.js';
import { message } from './test-support/stage.contract.js';

/** A transport that keeps what goes through it. */
class Recorder implements EventTransport {
  readonly sent: OutgoingEvent[] = [];
  subscription: Subscription | undefined;

  constructor(readonly deadLetterTopics: boolean) {}
  announce(): void {}
  async send(events: readonly OutgoingEvent[]): Promise<void> {
    this.sent.push(...events);
  }
  async subscribe(subscription: Subscription): Promise<{ close(): Promise<void> }> {
    this.subscription = subscription;
    return { close: async () => undefined };
  }
  readiness = async (): Promise<{ ok: boolean }> => ({ ok: true });
  close = async (): Promise<void> => undefined;
}

it('commands have subjects that no event has, and nothing else is touched', async () => {
  const inner = new Recorder(true);
  const received: ReceivedEvent[] = [];
  const receive = async (batch: readonly ReceivedEvent[]): Promise<void> => void received.push(...batch);
  await withCommandsApart(inner).subscribe({ service: 'restore-execution', topics: [], receive });
  const command = { topic: topics.restoreCommands.name, envelope: message({}, { subject: 'mdb_sa_id_1' }), origin: 'x' };
  const event = { ...command, topic: topics.access.name };
  const noEvent = { ...command, envelope: 'text' };
  await inner.subscription!.receive([command, event, noEvent]);
  expect(received).toEqual([{ ...command, envelope: { ...command.envelope, subject: 'command/mdb_sa_id_1' } }, event, noEvent]);
});

it('parked commands go out with the subject they came with, over transports that have topics for them', async () => {
  const inner = new Recorder(true);
  const transport = withCommandsApart(inner);
  expect([transport.deadLetterTopics, withCommandsApart(new Recorder(false)).deadLetterTopics]).toEqual([true, false]);
  const parked = { topic: deadLetterTopicOf(topics.restoreCommands).name, headers: { 'x-atrest-dlq-reason': 'REFUSED' } };
  const answer = { topic: topics.restoreJobs.name, envelope: message({}, { subject: 'command/of somebody' }) };
  await transport.send([{ ...parked, envelope: message({}, { subject: 'command/a' }) }, answer]);
  expect(inner.sent.map(({ envelope }) => envelope.subject)).toEqual(['a', 'command/of somebody']);
});
