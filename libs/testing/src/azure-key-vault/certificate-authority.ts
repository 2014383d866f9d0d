import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** A certificate for some names, and the authority that signed it. All PEM. */
export interface DevelopmentCertificate {
  readonly ca: string;
  readonly certificate: string;
  /** PKCS #8. */
  readonly privateKey: string;
}

const DAY_MS = 24 * 3_600_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/**
 * Makes an authority of its own and a certificate for `names`. The names may be those of real services: nobody but a client that was given
 * this authority trusts it, and its key is thrown away at once.
 */
export async function developmentCertificate(names: readonly string[], o: { expired?: boolean } = {}): Promise<DevelopmentCertificate> {
  const [authorityKeys, keys] = await Promise.all([newKeys(), newKeys()]);
  const now = Date.now();
  const validity = { notBefore: new Date(now - 2 * DAY_MS), notAfter: new Date(now + (o.expired ? -DAY_MS : DAY_MS)) };
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Atrest development authority (protects nothing)',
    notBefore: validity.notBefore,
    notAfter: new Date(now + DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys: authorityKeys,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const certificate = await x509.X509CertificateGenerator.create({
    subject: 'CN=Atrest development Key Vault',
    issuer: ca.subject,
    ...validity,
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: authorityKeys.privateKey,
    extensions: [new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value })))],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return { ca: ca.toString('pem'), certificate: certificate.toString('pem'), privateKey: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') };
}

const newKeys = (): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
