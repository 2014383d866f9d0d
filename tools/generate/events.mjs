import { eventDefinitions, EventEnvelopeSchema, topics } from '@atrest/contracts';
import { z } from 'zod';
import { json } from './output.mjs';

const schemaOf = (schema) => z.toJSONSchema(schema, { target: 'draft-2020-12', unrepresentable: 'any' });
const camel = (text) => text.replace(/[-.](\w)/g, (_, letter) => letter.toUpperCase());
const shortName = (type) => type.replace(/^io\.atrest\./, '');

/** JSON Schemas of every event and the AsyncAPI 3 document, from libs/contracts. */
export async function generateEvents(output) {
  const messages = {};
  const channels = {};
  const operations = {};
  for (const topic of Object.values(topics)) {
    channels[camel(topic.name)] = {
      address: topic.name,
      description: topic.description,
      messages: {},
      bindings: {
        kafka: { partitions: topic.partitions, topicConfiguration: { 'cleanup.policy': [topic.compacted ? 'compact' : 'delete'] } },
      },
    };
  }
  for (const definition of [...eventDefinitions.values()].sort((a, b) => a.type.localeCompare(b.type))) {
    const name = camel(shortName(definition.type));
    const file = `${shortName(definition.type)}.json`;
    await output.file(
      `docs/reference/schemas/${file}`,
      json({ ...schemaOf(definition.schema), $id: file, title: definition.type, description: definition.description }),
    );
    messages[name] = {
      name: definition.type,
      title: definition.type,
      summary: definition.description,
      contentType: 'application/json',
      headers: { $ref: '#/components/schemas/cloudEventHeaders' },
      payload: { $ref: `./schemas/${file}` },
    };
    channels[camel(definition.topic.name)].messages[name] = { $ref: `#/components/messages/${name}` };
  }
  for (const [name, channel] of Object.entries(channels)) {
    operations[`publish${name[0].toUpperCase()}${name.slice(1)}`] = {
      action: 'send',
      channel: { $ref: `#/channels/${name}` },
      summary: channel.description,
    };
  }
  const { properties, required } = schemaOf(EventEnvelopeSchema.omit({ data: true }));
  const header = (key) => (key === 'datacontenttype' ? 'content-type' : `ce_${key}`);
  await output.file(
    'docs/reference/asyncapi.json',
    json({
      asyncapi: '3.0.0',
      info: {
        title: 'Atrest events',
        version: '1.0.0',
        description:
          "Facts that Atrest's services publish: CloudEvents 1.0 in Kafka's binary mode. The message key is the id of the aggregate whose order matters; every event carries that aggregate's full current state. Delivery is at least once.",
        license: { name: 'Apache-2.0' },
      },
      defaultContentType: 'application/json',
      channels,
      operations,
      components: {
        messages,
        schemas: {
          cloudEventHeaders: {
            type: 'object',
            properties: Object.fromEntries(Object.entries(properties).map(([key, value]) => [header(key), value])),
            required: required.map(header),
          },
        },
      },
    }),
  );
}
