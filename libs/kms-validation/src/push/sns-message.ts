import { createVerify, X509Certificate } from 'node:crypto';
import { z } from 'zod';

/** What Amazon SNS posts to an HTTPS subscription. */
export const SnsMessageSchema = z.looseObject({
  Type: z.enum(['Notification', 'SubscriptionConfirmation', 'UnsubscribeConfirmation']),
  MessageId: z.string().max(100),
  TopicArn: z.string().max(500),
  Subject: z.string().max(500).optional(),
  Message: z.string().max(262_144),
  Timestamp: z.iso.datetime(),
  SignatureVersion: z.enum(['1', '2']),
  Signature: z.base64().max(2_048),
  SigningCertURL: z.string().max(500),
  SubscribeURL: z.string().max(2_048).optional(),
  Token: z.string().max(2_048).optional(),
});
export type SnsMessage = z.infer<typeof SnsMessageSchema>;

/** The fields that are signed, in this order, each as its name and value on lines of their own; absent ones are left out (Amazon SNS Developer Guide). */
const SIGNED: Readonly<Record<SnsMessage['Type'], readonly string[]>> = {
  Notification: ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'],
  SubscriptionConfirmation: ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'],
  UnsubscribeConfirmation: ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'],
};

export function textToSign(message: SnsMessage): string {
  return SIGNED[message.Type]
    .flatMap((name) => {
      const value = message[name];
      return typeof value === 'string' ? [`${name}\n${value}\n`] : [];
    })
    .join('');
}

/**
 * An address of Amazon SNS itself, and nothing else: whoever posts a message names the certificate, and could otherwise bring their own, or have us talk
 * to any address of our network.
 */
export function isSnsAddress(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const plain = url.protocol === 'https:' && url.port === '' && url.username === '' && url.password === '';
  return plain && /^sns\.[a-z]{2}(?:-[a-z]+)+-\d\.amazonaws\.com(?:\.cn)?$/.test(url.hostname) ? url : null;
}

/** The address of a signing certificate, or null when the text is none. */
export function signingCertificateAddress(text: string): URL | null {
  const url = isSnsAddress(text);
  return url !== null && url.search === '' && /^\/SimpleNotificationService-[0-9a-f]{1,64}\.pem$/.test(url.pathname) ? url : null;
}

/** Whether the certificate is in force and its key signed the message. */
export function isSignedBy(message: SnsMessage, certificatePem: string, now: Date): boolean {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(certificatePem);
  } catch {
    // No certificate at all: whatever answered is not SNS.
    return false;
  }
  if (now < certificate.validFromDate || now > certificate.validToDate) return false;
  const verify = createVerify(message.SignatureVersion === '1' ? 'RSA-SHA1' : 'RSA-SHA256');
  return verify.update(textToSign(message), 'utf8').verify(certificate.publicKey, message.Signature, 'base64');
}
