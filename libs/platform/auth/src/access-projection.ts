import { accessTokenRevoked, serviceAccountChanged, signingKeyCreated, type EventDefinition } from '@atrest/contracts';
import { defineHandler, type EventHandler } from '@atrest/platform-messaging';
import type { AccessStore } from './access-store.js';

/** What a service that keeps the access projection consumes. `fleet` does not: it writes the same tables with the change itself. */
export const accessConsumes: EventDefinition[] = [serviceAccountChanged, signingKeyCreated, accessTokenRevoked] as EventDefinition[];

/** The handlers that keep an `AccessStore` up to date. All of them may see an event twice, or after a newer one. */
export function accessHandlers(store: AccessStore): EventHandler[] {
  return [
    defineHandler(serviceAccountChanged, 'remember-service-account', async (event, tx) => {
      await store.applyServiceAccount(tx, event.data);
    }),
    defineHandler(signingKeyCreated, 'remember-signing-key', async (event, tx) => {
      await store.applySigningKey(tx, event.data);
    }),
    defineHandler(accessTokenRevoked, 'remember-revoked-token', async (event, tx) => {
      await store.applyRevocation(tx, event.data);
    }),
  ];
}
