import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRevocationRequest, parseTokenRequest, type OAuthRequest } from './token-request.js';

const FORM = 'application/x-www-form-urlencoded';
const basic = (id: string, secret: string) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
const request = (o: Partial<OAuthRequest>): OAuthRequest => ({
  contentType: FORM,
  authorization: basic('id', 'secret'),
  body: { grant_type: 'client_credentials' },
  ...o,
});
const credentials = (clientId: string, secret: string) => ({ ok: true, value: { clientId, secret } });

describe('parseTokenRequest', () => {
  it.each<[string, Partial<OAuthRequest>, string, string]>([
    ['Basic', {}, 'id', 'secret'],
    [
      'Basic in any case, with a charset',
      { authorization: basic('id', 's').replace('Basic', 'bAsIc '), contentType: `${FORM}; charset=UTF-8` },
      'id',
      's',
    ],
    ['a percent-encoded half (Go clients)', { authorization: basic('a%3Ab', 'x%2By%25+z') }, 'a:b', 'x+y% z'],
    ['text that is not percent-encoded (MCP)', { authorization: basic('id', '100%') }, 'id', '100%'],
    ['a colon in the secret', { authorization: basic('id', 'a:b') }, 'id', 'a:b'],
    [
      'the form body',
      { authorization: undefined, body: { grant_type: 'client_credentials', client_id: 'id', client_secret: 's' } },
      'id',
      's',
    ],
    ['the header with the same client_id in the body', { body: { grant_type: 'client_credentials', client_id: 'id' } }, 'id', 'secret'],
  ])('reads credentials from %s', (_, o, clientId, secret) => {
    expect(parseTokenRequest(request(o))).toEqual(credentials(clientId, secret));
  });

  it.each<[string, Partial<OAuthRequest>, number, string]>([
    ['no credentials', { authorization: undefined }, 401, 'invalid_client'],
    [
      'an id without secret',
      { authorization: undefined, body: { grant_type: 'client_credentials', client_id: 'id' } },
      401,
      'invalid_client',
    ],
    ['an empty secret', { authorization: basic('id', '') }, 401, 'invalid_client'],
    ['an empty id', { authorization: basic('', 's') }, 401, 'invalid_client'],
    ['a header without colon', { authorization: `Basic ${Buffer.from('id').toString('base64')}` }, 401, 'invalid_client'],
    ['another scheme', { authorization: 'Bearer abc' }, 401, 'invalid_client'],
    ['no grant type', { body: {} }, 400, 'invalid_request'],
    ['an empty grant type', { body: { grant_type: '' } }, 400, 'invalid_request'],
    ['a body that was not parsed', { body: undefined }, 400, 'invalid_request'],
    ['a grant type given twice', { body: { grant_type: ['client_credentials', 'client_credentials'] } }, 400, 'invalid_request'],
    ['another grant type', { body: { grant_type: 'password' } }, 400, 'unsupported_grant_type'],
    ['JSON', { contentType: 'application/json' }, 400, 'invalid_request'],
    ['no content type', { contentType: undefined }, 400, 'invalid_request'],
    ['credentials twice', { body: { grant_type: 'client_credentials', client_id: 'id', client_secret: 's' } }, 400, 'invalid_request'],
    ['two client ids', { body: { grant_type: 'client_credentials', client_id: 'other' } }, 400, 'invalid_request'],
  ])('refuses %s', (_, o, status, error) => {
    expect(parseTokenRequest(request(o))).toMatchObject({ ok: false, refusal: { status, error } });
  });

  it('reads back whatever a client encodes as RFC 6749 says', () => {
    const text = fc.string({ minLength: 1, unit: 'grapheme' }).filter((value) => value.isWellFormed());
    fc.assert(
      fc.property(text, text, (id, secret) => {
        const header = basic(encodeURIComponent(id), encodeURIComponent(secret));
        expect(parseTokenRequest(request({ authorization: header }))).toEqual(credentials(id, secret));
      }),
    );
  });

  it('never throws, whatever the header', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String().map((text) => `Basic ${text}`),
        ),
        (authorization) => {
          parseTokenRequest(request({ authorization }));
        },
      ),
    );
  });
});

describe('parseRevocationRequest', () => {
  it('reads the token and allows the hint', () => {
    expect(parseRevocationRequest(request({ body: { token: 'abc', token_type_hint: 'access_token' } }))).toEqual({
      ok: true,
      value: { clientId: 'id', secret: 'secret', token: 'abc' },
    });
  });

  it('refuses a request without token or without credentials', () => {
    expect(parseRevocationRequest(request({ body: {} }))).toMatchObject({ refusal: { status: 400, error: 'invalid_request' } });
    expect(parseRevocationRequest(request({ authorization: undefined, body: { token: 'abc' } }))).toMatchObject({
      refusal: { status: 401 },
    });
  });
});
