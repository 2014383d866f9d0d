import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as x509 from '@peculiar/x509';

/** Who may log in to the encrypted listeners of a broker. */
export interface KafkaLogins {
  /** By SCRAM-SHA-256 and SCRAM-SHA-512. */
  readonly scram: { readonly username: string; readonly password: string };
  /** By OAUTHBEARER: whoever has a token that one of these keys signed, from this issuer and for this audience. */
  readonly oauth: { readonly keys: readonly object[]; readonly issuer: string; readonly audience: string };
}

/** PEM files for clients of the encrypted listeners. */
export interface KafkaClientFiles {
  /** The authority that signed the broker's certificate. */
  readonly ca: string;
  /** A certificate of that authority for a client, and its private key. */
  readonly cert: string;
  readonly key: string;
}

/** What a broker with encrypted listeners is told beyond what every broker is. */
export interface EncryptedListeners {
  readonly files: KafkaClientFiles;
  readonly properties: readonly string[];
  /** For `StorageTool format`, which writes the first users. */
  readonly formatArguments: readonly string[];
  readonly javaOptions: readonly string[];
}

const LOGIN = 'org.apache.kafka.common.security';
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const HOUR_MS = 3_600_000;

/**
 * Two listeners: `TLS`, which wants a client certificate, and `SASL`, which is encrypted and wants a login. With an authority of their own,
 * made here.
 */
export async function encryptedListeners(folder: string, logins: KafkaLogins): Promise<EncryptedListeners> {
  const { files, keyStore } = await writeCertificates(join(folder, 'certificates'));
  const jwks = join(folder, 'jwks.json');
  await writeFile(jwks, JSON.stringify({ keys: logins.oauth.keys }));
  const jwksUrl = pathToFileURL(jwks).href;
  const { username, password } = logins.scram;
  return {
    files,
    formatArguments: ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
      '--add-scram',
      `${mechanism}=[name=${username},password=${password}]`,
    ]),
    // Since 4.0 a broker reads keys only from where this says.
    javaOptions: [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${jwksUrl}`],
    properties: [
      'ssl.keystore.type=PEM',
      `ssl.keystore.location=${keyStore}`,
      'ssl.truststore.type=PEM',
      `ssl.truststore.location=${files.ca}`,
      'listener.name.tls.ssl.client.auth=required',
      'listener.name.sasl.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
      `listener.name.sasl.scram-sha-256.sasl.jaas.config=${LOGIN}.scram.ScramLoginModule required;`,
      `listener.name.sasl.scram-sha-512.sasl.jaas.config=${LOGIN}.scram.ScramLoginModule required;`,
      `listener.name.sasl.oauthbearer.sasl.jaas.config=${LOGIN}.oauthbearer.OAuthBearerLoginModule required;`,
      `listener.name.sasl.oauthbearer.sasl.server.callback.handler.class=${LOGIN}.oauthbearer.OAuthBearerValidatorCallbackHandler`,
      // The default of 4.1.0 is the validator of clients, which looks at no signature, issuer or audience. Read without the listener's prefix only.
      `sasl.oauthbearer.jwt.validator.class=${LOGIN}.oauthbearer.BrokerJwtValidator`,
      `sasl.oauthbearer.jwks.endpoint.url=${jwksUrl}`,
      `sasl.oauthbearer.expected.issuer=${logins.oauth.issuer}`,
      `sasl.oauthbearer.expected.audience=${logins.oauth.audience}`,
    ],
  };
}

async function writeCertificates(folder: string): Promise<{ readonly files: KafkaClientFiles; readonly keyStore: string }> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const authorityKeys = await newKeys();
  const validity = { notBefore: new Date(Date.now() - HOUR_MS), notAfter: new Date(Date.now() + 24 * HOUR_MS) };
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Authority of a test',
    keys: authorityKeys,
    signingAlgorithm: EC,
    ...validity,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const issue = async (name: string, extensions: x509.Extension[]): Promise<{ readonly certificate: string; readonly key: string }> => {
    const keys = await newKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: authority.subject,
      publicKey: keys.publicKey,
      signingKey: authorityKeys.privateKey,
      signingAlgorithm: EC,
      ...validity,
      extensions,
    });
    const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
    return { certificate: certificate.toString('pem'), key };
  };
  const broker = await issue('broker', [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])]);
  const client = await issue('client', []);
  const file = async (name: string, content: string): Promise<string> => {
    await writeFile(join(folder, name), `${content}\n`, { mode: 0o600 });
    return join(folder, name);
  };
  return {
    files: {
      ca: await file('ca.pem', authority.toString('pem')),
      cert: await file('client.pem', client.certificate),
      key: await file('client-key.pem', client.key),
    },
    keyStore: await file('broker.pem', `${broker.key}\n${broker.certificate}`),
  };
}

const newKeys = (): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
