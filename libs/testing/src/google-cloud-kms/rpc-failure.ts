import { Metadata, status, type ServiceError } from '@grpc/grpc-js';

/** Names of gRPC status codes, e.g. `PERMISSION_DENIED`. */
export type StatusName = keyof typeof status;

/** An answer that is an error: status and words as Google Cloud sends them, and the machine-readable reason where it sends one. */
export class RpcFailure extends Error {
  constructor(
    readonly statusName: StatusName,
    message: string,
    readonly reason?: string,
  ) {
    super(message);
  }

  /** What grpc-js sends for it. */
  toServiceError(): ServiceError {
    const code = status[this.statusName];
    const metadata = new Metadata();
    if (this.reason !== undefined) metadata.set('grpc-status-details-bin', statusDetails(code, this.message, this.reason));
    return Object.assign(new Error(this.message), { code, details: this.message, metadata });
  }
}

/** A google.rpc.Status with one google.rpc.ErrorInfo, in protocol buffers' wire format. */
function statusDetails(code: number, message: string, reason: string): Buffer {
  const text = (field: number, value: string): Buffer => member(field, Buffer.from(value, 'utf8'));
  const info = Buffer.concat([text(1, reason), text(2, 'googleapis.com')]);
  const any = Buffer.concat([text(1, 'type.googleapis.com/google.rpc.ErrorInfo'), member(2, info)]);
  return Buffer.concat([Buffer.from([0x08, code]), text(2, message), member(3, any)]);
}

/** A length-delimited field. */
const member = (field: number, bytes: Buffer): Buffer => Buffer.concat([Buffer.from([(field << 3) | 2]), varint(bytes.length), bytes]);

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}
