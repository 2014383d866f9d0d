import { Messaging1700000000000 } from './1700000000000-messaging.js';
import { Lanes1795392600000 } from './1795392600000-lanes.js';
import { OutboxHeaders1795392700000 } from './1795392700000-outbox-headers.js';
import { Holders1795392800000 } from './1795392800000-holders.js';
import { EventIdsPerTopic1795392500000 } from './1795392500000-event-ids-per-topic.js';

/** Tables of messaging. Every service puts them first in its list of migrations. */
export const messagingMigrations: Function[] = [
  Messaging1700000000000,
  EventIdsPerTopic1795392500000,
  Lanes1795392600000,
  OutboxHeaders1795392700000,
  Holders1795392800000,
];
