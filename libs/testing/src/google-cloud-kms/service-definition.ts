import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { protos } from '@google-cloud/kms';

const { v1 } = protos.google.cloud.kms;

/** A generated message class. */
interface MessageClass<Fields, Message extends Fields> {
  encode(message: Fields): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Message;
  /** Turns names of enumerations into their numbers. */
  fromObject(fields: Record<string, unknown>): Message;
}

function method<Request extends RequestFields, RequestFields, Response extends ResponseFields, ResponseFields>(
  name: string,
  request: MessageClass<RequestFields, Request>,
  response: MessageClass<ResponseFields, Response>,
): MethodDefinition<RequestFields, ResponseFields> {
  return {
    path: `/google.cloud.kms.v1.KeyManagementService/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: (message) => Buffer.from(request.encode(message).finish()),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: (message) => Buffer.from(response.encode(response.fromObject(message as Record<string, unknown>)).finish()),
    responseDeserialize: (bytes) => response.decode(bytes),
  };
}

/** The methods of `google.cloud.kms.v1.KeyManagementService` that the development service has, with the messages of the vendor's package. */
export const keyManagementService = {
  encrypt: method('Encrypt', v1.EncryptRequest, v1.EncryptResponse),
  decrypt: method('Decrypt', v1.DecryptRequest, v1.DecryptResponse),
  getCryptoKey: method('GetCryptoKey', v1.GetCryptoKeyRequest, v1.CryptoKey),
  getCryptoKeyVersion: method('GetCryptoKeyVersion', v1.GetCryptoKeyVersionRequest, v1.CryptoKeyVersion),
  updateCryptoKeyVersion: method('UpdateCryptoKeyVersion', v1.UpdateCryptoKeyVersionRequest, v1.CryptoKeyVersion),
  destroyCryptoKeyVersion: method('DestroyCryptoKeyVersion', v1.DestroyCryptoKeyVersionRequest, v1.CryptoKeyVersion),
  restoreCryptoKeyVersion: method('RestoreCryptoKeyVersion', v1.RestoreCryptoKeyVersionRequest, v1.CryptoKeyVersion),
} satisfies ServiceDefinition;
