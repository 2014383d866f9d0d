import { COMMAND_ALGORITHMS, commandDefinitions, eventDefinitions, EventEnvelopeSchema, topics } from '@atrest/contracts';
import { z } from 'zod';
import { json } from './output.mjs';

const schemaOf = (schema) => z.toJSONSchema(schema, { target: 'draft-2020-12', unrepresentable: 'any' });
const DAY_MS = 86_400_000;
const camel = (text) => text.replace(/[-.](\w)/g, (_, letter) => letter.toUpperCase());
const shortName = (type) => type.replace(/^io\.atrest\./, '');

/** JSON Schemas of every event and command and the AsyncAPI 3 document, from libs/contracts. */
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
        kafka: {
          partitions: topic.partitions,
          topicConfiguration: topic.compacted
            ? { 'cleanup.policy': ['compact'] }
            : { 'cleanup.policy': ['delete'], 'retention.ms': topic.retentionDays * DAY_MS },
        },
      },
    };
  }
  const commandTopics = new Set([...commandDefinitions.values()].map((definition) => definition.topic));
  const definitions = [...eventDefinitions.values(), ...commandDefinitions.values()];
  for (const definition of definitions.sort((a, b) => a.type.localeCompare(b.type))) {
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
      ...(definition.payload === undefined ? {} : { 'x-signedPayload': await signedPayload(output, definition) }),
    };
    channels[camel(definition.topic.name)].messages[name] = { $ref: `#/components/messages/${name}` };
  }
  for (const topic of Object.values(topics)) {
    const name = camel(topic.name);
    const [verb, action] = commandTopics.has(topic) ? ['receive', 'receive'] : ['publish', 'send'];
    operations[`${verb}${name[0].toUpperCase()}${name.slice(1)}`] = {
      action,
      channel: { $ref: `#/channels/${name}` },
      summary: topic.description,
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
          "Facts that Atrest's services publish, and commands that they receive from other teams: CloudEvents 1.0 in Kafka's binary mode. The message key is the id of the aggregate whose order matters; every event of Atrest carries that aggregate's full current state. Delivery is at least once.",
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

/** The schema of what the `jws` of a command signs. */
async function signedPayload(output, definition) {
  const file = `${shortName(definition.type)}.payload.json`;
  const title = `Signed payload of ${definition.type}`;
  await output.file(`docs/reference/schemas/${file}`, json({ ...schemaOf(definition.payload), $id: file, title }));
  return { mediaType: 'application/jose', algorithms: COMMAND_ALGORITHMS, schema: { $ref: `./schemas/${file}` } };
}
