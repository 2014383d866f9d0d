/**
 * A set of block names in 8 bytes each, by their first 64 bits. It may hold a name for another that begins alike (a chance of n/2^64 per
 * question), so it is used only where that means keeping too much or checking one block less.
 */
export class NameSet {
  #slots = new BigUint64Array(1 << 12);
  #size = 0;
  #hasZero = false;

  /** Names held. */
  get size(): number {
    return this.#size + (this.#hasZero ? 1 : 0);
  }

  /** Adds a name; false when it was there. */
  add(name: Uint8Array): boolean {
    const value = prefixOf(name);
    if (value === 0n) {
      const isNew = !this.#hasZero;
      this.#hasZero = true;
      return isNew;
    }
    if (this.#size * 2 >= this.#slots.length) this.#grow();
    return this.#put(value);
  }

  has(name: Uint8Array): boolean {
    const value = prefixOf(name);
    return value === 0n ? this.#hasZero : this.#slots[this.#placeOf(value)] === value;
  }

  #put(value: bigint): boolean {
    const place = this.#placeOf(value);
    if (this.#slots[place] === value) return false;
    this.#slots[place] = value;
    this.#size += 1;
    return true;
  }

  /** Names are uniformly distributed, so their low bits are as good as a hash. */
  #placeOf(value: bigint): number {
    const mask = this.#slots.length - 1;
    let place = Number(value & BigInt(mask));
    while (this.#slots[place] !== 0n && this.#slots[place] !== value) place = (place + 1) & mask;
    return place;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new BigUint64Array(old.length * 2);
    this.#size = 0;
    for (const value of old) if (value !== 0n) this.#put(value);
  }
}

const prefixOf = (name: Uint8Array): bigint => Buffer.from(name.buffer, name.byteOffset, name.length).readBigUInt64BE(0);
