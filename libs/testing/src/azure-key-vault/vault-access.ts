import { randomUUID } from 'node:crypto';
import type { VaultOperation } from './azure-faults.js';
import { KeyVaultFailure } from './azure-failures.js';

/** What keeps a client out: a missing role, a missing access policy, a network rule, or a vault that is switched off. */
export type VaultRefusal = 'rbac' | 'policy' | 'firewall' | 'private-link' | 'subscription';

/** Takes access away. Without a field it applies to all. */
export interface VaultDenial {
  readonly id: string;
  readonly how: VaultRefusal;
  readonly operations?: readonly VaultOperation[];
  readonly clientId?: string;
  /** Host of the vault. */
  readonly host?: string;
}

/** Who may do what in which vault: everybody everything, until a denial says otherwise. */
export class VaultAccess {
  private denials: VaultDenial[] = [];

  deny(denial: Omit<VaultDenial, 'id'>): VaultDenial {
    const stored = { ...denial, id: randomUUID() };
    this.denials.push(stored);
    return stored;
  }

  allow(id?: string): void {
    this.denials = id === undefined ? [] : this.denials.filter((denial) => denial.id !== id);
  }

  /** Fails as Key Vault does when a denial applies. */
  assertAllowed(request: { operation: VaultOperation; host: string; clientId: string; tenantId: string }): void {
    const denial = this.denials.find(
      ({ operations, clientId, host }) =>
        (operations === undefined || operations.includes(request.operation)) &&
        (clientId === undefined || clientId === request.clientId) &&
        (host === undefined || host === request.host),
    );
    if (denial !== undefined) throw refusalOf(denial.how, request);
  }
}

function refusalOf(
  how: VaultRefusal,
  { operation, host, clientId, tenantId }: { operation: VaultOperation; host: string; clientId: string; tenantId: string },
): KeyVaultFailure {
  const vault = `${host.split('.')[0] ?? host};location=westeurope`;
  const caller = `appid=${clientId};iss=https://sts.windows.net/${tenantId}/`;
  const forbidden = (words: string, innerCode?: string) => new KeyVaultFailure(403, 'Forbidden', words, innerCode);
  switch (how) {
    case 'rbac': {
      const words = `Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nCaller: ${caller}\r\nVault: ${vault}\r\n`;
      return forbidden(words, 'ForbiddenByRbac');
    }
    case 'policy': {
      const words = `The user, group or application '${caller}' does not have keys ${operation} permission on key vault '${vault}'.`;
      return forbidden(words, 'AccessDenied');
    }
    case 'firewall': {
      const words = `Client address is not authorized and caller is not a trusted service.\r\nClient address: 127.0.0.1\r\nCaller: ${caller}\r\nVault: ${vault}`;
      return forbidden(words, 'ForbiddenByFirewall');
    }
    case 'private-link': {
      const words = `Public network access is disabled and request is not from a trusted service nor via an approved private link.\r\nCaller: ${caller}\r\nVault: ${vault}`;
      return forbidden(words, 'ForbiddenByConnection');
    }
    case 'subscription':
      return forbidden(`The subscription of the vault '${vault}' is disabled.`);
  }
}
