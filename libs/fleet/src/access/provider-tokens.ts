// Provider tokens of fleet's access part. Symbols: in the standalone app several contexts share one Nest application.
export const SERVICE_ACCOUNTS = Symbol('fleet.service-accounts');
export const ACCESS_TOKENS = Symbol('fleet.access-tokens');
export const ACCESS_STORE = Symbol('fleet.access-store');
