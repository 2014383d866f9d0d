import { topics } from '@atrest/contracts';
import type { EventTransport, ReceivedEvent } from '@atrest/platform-messaging';

/**
 * The transport, with the subjects of commands apart from those of events. The events of one subject are handled one after another, and
 * whoever sends commands chooses their subject: a flood of them under the id of a service account would otherwise hold up the event that
 * takes that account's roles away.
 */
export function withCommandsApart(transport: EventTransport): EventTransport {
  return {
    announce: (subscriber) => transport.announce(subscriber),
    send: (events) => transport.send(events),
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
  return typeof subject === 'string' && subject !== '' ? { ...event, envelope: { ...envelope, subject: `command/${subject}` } } : event;
}
