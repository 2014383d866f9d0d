import { collectRoutes, parametersOf, toOpenApiPath } from '@atrest/platform-http';
import { z } from 'zod';
import { json } from './output.mjs';

const schemaOf = (schema, io) => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12', unrepresentable: 'any', io });
  return rest;
};

const roles = (access) => {
  if (access === 'public') return 'Public.';
  if (access === 'authenticated') return 'Any service account.';
  if (access === 'agent') return "An agent's own credential.";
  return 'project' in access
    ? `One of these roles in the project: ${access.project.join(', ')}.`
    : `One of these roles in the organisation: ${access.org.join(', ')}.`;
};

const mediaTypes = (route) =>
  route.versions ? route.versions.map((version) => `application/vnd.atlas.${version}+json`) : ['application/json'];

function operation(route, components) {
  const id = `${route.controller.replace(/Controller$/, '')}_${route.handler}`;
  const component = (suffix, schema, io) => {
    components[`${id}_${suffix}`] = schemaOf(schema, io);
    return { $ref: `#/components/schemas/${id}_${suffix}` };
  };
  const path = parametersOf(route.fullPath).map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));
  const query = route.query ? schemaOf(route.query, 'input') : { properties: {} };
  const queryParameters = Object.entries(query.properties ?? {}).map(([name, schema]) => ({
    name,
    in: 'query',
    required: query.required?.includes(name) ?? false,
    schema,
  }));
  const content = (suffix, schema, io) => {
    // One component serves every version of the operation.
    const media = schema ? { schema: component(suffix, schema, io) } : {};
    return Object.fromEntries(mediaTypes(route).map((type) => [type, media]));
  };
  return {
    operationId: id,
    tags: [route.controller.replace(/Controller$/, '')],
    summary: route.summary,
    description: roles(route.access),
    security: route.access === 'public' ? [] : [{ bearer: [] }],
    ...(path.length + queryParameters.length > 0 ? { parameters: [...path, ...queryParameters] } : {}),
    ...(route.body ? { requestBody: { required: true, content: content('request', route.body, 'input') } } : {}),
    responses: {
      [route.success]: {
        description: 'Success',
        ...(route.success === 204 ? {} : { content: content('response', route.response, 'output') }),
      },
      default: { description: 'Refused or failed', content: { 'application/json': { schema: { $ref: '#/components/schemas/ApiError' } } } },
    },
  };
}

/** The OpenAPI document of every route, from the controllers' own declarations. */
export async function generateOpenApi(output, controllers) {
  const paths = {};
  const components = {};
  for (const route of collectRoutes(controllers)) {
    (paths[toOpenApiPath(route.fullPath)] ??= {})[route.method.toLowerCase()] = operation(route, components);
  }
  await output.file(
    'docs/reference/openapi.json',
    json({
      openapi: '3.1.0',
      info: {
        title: 'Atrest',
        version: '2.0.0',
        description:
          'The Atlas Admin API, as far as Atrest serves it, with its extensions (selfManaged, awsKms:check and status, hosts, agents). Versions are chosen in the media type.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      paths,
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'Access token of POST /api/oauth/token, valid for one hour' },
        },
        schemas: {
          ...components,
          ApiError: {
            type: 'object',
            required: ['error', 'errorCode'],
            properties: {
              error: { type: 'integer', description: 'HTTP status' },
              errorCode: { type: 'string' },
              detail: { type: ['string', 'null'] },
              reason: { type: ['string', 'null'] },
              parameters: { type: 'array', items: { type: 'string' } },
              badRequestDetail: {
                type: ['object', 'null'],
                properties: {
                  fields: {
                    type: 'array',
                    items: {
                      type: 'object',
                      required: ['field', 'description'],
                      properties: { field: { type: 'string' }, description: { type: 'string' } },
                    },
                  },
                },
              },
            },
          },
        },
      },
    }),
  );
}
