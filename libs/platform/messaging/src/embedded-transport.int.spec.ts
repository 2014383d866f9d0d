import { randomUUID } from 'node:crypto';
import { EmbeddedTransport } from './index.js';
import { eventTransportContract } from './event-transport.contract.js';
import { sampleTopic } from './sample-service.contract.js';

eventTransportContract('embedded', async () => {
  const transport = new EmbeddedTransport();
  return {
    topic: async () => sampleTopic(`test.${randomUUID()}`),
    connect: async () => transport,
    dispose: () => transport.close(),
  };
});
