import { BlockList, isIP } from 'node:net';
import { mayBeAnAppliance } from '../providers/kmip-settings.js';

interface Network {
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

function parse(text: string): Network | null {
  const [address = '', prefix, ...more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0) return null;
  const bits = version === 6 ? 128 : 32;
  const length = prefix === undefined ? bits : Number(prefix);
  return /^\d{1,3}$/.test(prefix ?? '0') && length <= bits ? { address, prefix: length, family: version === 6 ? 'ipv6' : 'ipv4' } : null;
}

/** Whether the text is an IP address, or one with the length of its network (`10.20.0.0/16`). */
export const isNetwork = (text: string): boolean => parse(text) !== null;

/**
 * Which addresses KMIP servers may have where an operator names networks: those in one of them. Our own machine's and link-local ones never are,
 * whatever network holds them. Texts that are no network hold no address.
 */
export function networkRule(networks: readonly string[]): (address: string) => boolean {
  const allowed = new BlockList();
  for (const text of networks) {
    const network = parse(text);
    if (network !== null) allowed.addSubnet(network.address, network.prefix, network.family);
  }
  return (address) => mayBeAnAppliance(address) && allowed.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}
