import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** A certificate and its private key (PKCS #8), both PEM. */
export interface KmipCredentials {
  readonly certificate: string;
  readonly key: string;
}

const DAY_MS = 24 * 3_600_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const newKeys = (): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

/** A certificate authority for one test: KMIP knows its clients by nothing else. Its key never leaves the process. */
export class KmipAuthority {
  private serial = 1;

  private constructor(
    private readonly root: x509.X509Certificate,
    private readonly signingKey: webcrypto.CryptoKey,
  ) {}

  static async create(name = 'Atrest development authority (protects nothing)'): Promise<KmipAuthority> {
    const keys = await newKeys();
    const root = await x509.X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      notBefore: new Date(Date.now() - 9 * DAY_MS),
      notAfter: new Date(Date.now() + 9 * DAY_MS),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      ],
    });
    return new KmipAuthority(root, keys.privateKey);
  }

  /** PEM. */
  get certificate(): string {
    return this.root.toString('pem');
  }

  /** For a server that is reached by these names and addresses. */
  server(o: { names?: readonly string[]; addresses?: readonly string[]; expired?: boolean } = {}): Promise<KmipCredentials> {
    const { names = ['localhost'], addresses = ['127.0.0.1'], expired = false } = o;
    return this.issue('CN=Atrest development KMIP server', x509.ExtendedKeyUsage.serverAuth, expired, [
      new x509.SubjectAlternativeNameExtension([
        ...names.map((value) => ({ type: 'dns' as const, value })),
        ...addresses.map((value) => ({ type: 'ip' as const, value })),
      ]),
    ]);
  }

  /** For a client, which servers know by its common name. `usage` is what the certificate says that it is for. */
  client(commonName: string, o: { expired?: boolean; usage?: 'client' | 'server' | 'none' } = {}): Promise<KmipCredentials> {
    const { expired = false, usage = 'client' } = o;
    const usages = { client: x509.ExtendedKeyUsage.clientAuth, server: x509.ExtendedKeyUsage.serverAuth, none: null };
    return this.issue(`CN=${commonName}`, usages[usage], expired, []);
  }

  private async issue(subject: string, usage: string | null, expired: boolean, extensions: x509.Extension[]): Promise<KmipCredentials> {
    const keys = await newKeys();
    this.serial += 1;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: this.serial.toString(16).padStart(2, '0'),
      subject,
      issuer: this.root.subject,
      notBefore: new Date(Date.now() - 2 * DAY_MS),
      notAfter: new Date(Date.now() + (expired ? -DAY_MS : DAY_MS)),
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: this.signingKey,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment, true),
        ...(usage === null ? [] : [new x509.ExtendedKeyUsageExtension([usage])]),
        ...extensions,
      ],
    });
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
    return { certificate: certificate.toString('pem'), key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') };
  }
}
