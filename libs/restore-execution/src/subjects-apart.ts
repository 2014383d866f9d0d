import { deadLetterTopicOf, topics } from '@atrest/contracts';
import type { EventTransport, OutgoingEvent, ReceivedEvent } from '@atrest/platform-messaging';

const PREFIX = 'command/';
const PARKED_COMMANDS = deadLetterTopicOf(topics.restoreCommands).name;

/**
 * The transport, with the subjects of commands apart from those of events. The events of one subject are handled one after another, and
 * whoever sends commands chooses their subject: a flood of them under the id of a service account would otherwise hold up the event that
 * takes that account's roles away. Parked commands go out as they arrived.
 */
export function withCommandsApart(transport: EventTransport): EventTransport {
  return {
    deadLetterTopics: transport.deadLetterTopics ?? false,
    announce: (subscriber) => transport.announce(subscriber),
    send: (events) => transport.send(events.map((event) => asItArrived(event))),
    subscribe: (subscription) =>
      transport.subscribe({ ...subscription, receive: (batch) => subscription.receive(batch.map((event) => apart(event))) }),
    readiness: () => transport.readiness(),
    close: () => transport.close(),
  };
}

function apart(event: ReceivedEvent): ReceivedEvent {
  const { envelope } = event;
  if (event.topic !== topics.restoreCommands.name || typeof envelope !== 'object' || envelope === null) return event;
  const { subject } = envelope as { subject?: unknown };
  return typeof subject === 'string' && subject !== '' ? { ...event, envelope: { ...envelope, subject: `${PREFIX}${subject}` } } : event;
}

function asItArrived(event: OutgoingEvent): OutgoingEvent {
  const { topic, envelope } = event;
  if (topic !== PARKED_COMMANDS || typeof envelope.subject !== 'string' || !envelope.subject.startsWith(PREFIX)) return event;
  return { ...event, envelope: { ...envelope, subject: envelope.subject.slice(PREFIX.length) } };
}
