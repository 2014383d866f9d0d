/** The result of a command that changes a replica set or a cluster. */
export type AdministrationOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly error: string }
  /** Nothing was done: what the command needs is not there yet. */
  | { readonly ok: 'too-early' };
