import { validationFailure } from './kms-failure.js';

/** Reads a request's members by type; a wrong type is answered as AWS does. */
export class Parameters {
  constructor(private readonly input: Readonly<Record<string, unknown>>) {}

  text(member: string): string {
    const value = this.optionalText(member);
    if (value === undefined) throw validationFailure(camel(member), 'Member must not be null');
    return value;
  }

  optionalText(member: string): string | undefined {
    const value = this.input[member] ?? undefined;
    if (value === undefined) return undefined;
    if (typeof value !== 'string' || value.length > 8192) throw validationFailure(camel(member), 'Member must be a string');
    return value;
  }

  optionalInteger(member: string, min: number, max: number): number | undefined {
    const value = this.input[member] ?? undefined;
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      throw validationFailure(camel(member), `Member must be an integer from ${min} to ${max}`);
    }
    return value;
  }

  optionalFlag(member: string): boolean | undefined {
    const value = this.input[member] ?? undefined;
    if (value !== undefined && typeof value !== 'boolean') throw validationFailure(camel(member), 'Member must be a boolean');
    return value;
  }

  optionalList(member: string): unknown[] | undefined {
    const value = this.input[member] ?? undefined;
    if (value !== undefined && !Array.isArray(value)) throw validationFailure(camel(member), 'Member must be a list');
    return value;
  }

  optionalTextMap(member: string): Record<string, string> | undefined {
    const value = this.input[member] ?? undefined;
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw validationFailure(camel(member), 'Member must be a map');
    const entries = Object.entries(value as Record<string, unknown>);
    if (entries.some(([, text]) => typeof text !== 'string')) throw validationFailure(camel(member), 'Member must be a map of strings');
    return Object.fromEntries(entries) as Record<string, string>;
  }

  /** Base64 of 1 to `max` bytes. */
  bytes(member: string, max: number): Buffer {
    const bytes = Buffer.from(this.text(member), 'base64');
    if (bytes.length < 1 || bytes.length > max) throw validationFailure(camel(member), `Member must have 1 to ${max} bytes`);
    return bytes;
  }
}

const camel = (member: string): string => member.charAt(0).toLowerCase() + member.slice(1);
