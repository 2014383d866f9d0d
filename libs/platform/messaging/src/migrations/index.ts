import { Messaging1700000000000 } from './1700000000000-messaging.js';

/** Tables of messaging. Every service puts them first in its list of migrations. */
export const messagingMigrations: Function[] = [Messaging1700000000000];
