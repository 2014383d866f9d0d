import { randomBytes } from 'node:crypto';
import { CryptographicAlgorithm, CryptographicUsage, ObjectType, State } from '@atrest/kmip';

export type KmipStateName = keyof typeof State;

/** A managed object as the development server keeps it. */
export interface StoredKey {
  readonly id: string;
  /** Common name of the client that made it; nobody else may use it. */
  readonly owner: string;
  objectType: number;
  algorithm: number;
  /** Bits. */
  length: number;
  material: Buffer;
  usageMask: number;
  state: KmipStateName;
  names: readonly string[];
  readonly initialDate: Date;
  activationDate: Date | null;
  deactivationDate: Date | null;
  archived: boolean;
  /** The server never gives the material away. */
  sensitive: boolean;
}

export type NewKey = Partial<Omit<StoredKey, 'id' | 'initialDate'>>;

/** Managed objects in memory. */
export class KmipKeyStore {
  private readonly keys = new Map<string, StoredKey>();
  private lastId = 0;

  create(key: NewKey = {}): StoredKey {
    this.lastId += 1;
    const length = key.length ?? 256;
    const stored: StoredKey = {
      id: String(this.lastId),
      owner: 'atrest',
      objectType: ObjectType.SymmetricKey,
      algorithm: CryptographicAlgorithm.AES,
      length,
      material: randomBytes(length / 8),
      usageMask: CryptographicUsage.Encrypt | CryptographicUsage.Decrypt,
      state: 'Active',
      names: [],
      initialDate: new Date(),
      activationDate: null,
      deactivationDate: null,
      archived: false,
      sensitive: false,
      ...key,
    };
    this.keys.set(stored.id, stored);
    return stored;
  }

  find(id: string): StoredKey | undefined {
    const key = this.keys.get(id);
    // The server's own transition (KMIP 1.4, section 3.22): nobody asks for it.
    if (key?.state === 'Active' && key.deactivationDate !== null && key.deactivationDate <= new Date()) key.state = 'Deactivated';
    return key;
  }

  get(id: string): StoredKey {
    const key = this.find(id);
    if (key === undefined) throw new RangeError(`there is no key ${id}`);
    return key;
  }

  /** Gone without a trace, as PyKMIP does; the state `Destroyed` is what servers show that keep the facts. */
  remove(id: string): void {
    this.keys.delete(id);
  }

  all(): readonly StoredKey[] {
    return [...this.keys.values()];
  }
}
