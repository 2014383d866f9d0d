/** Codes with which a request is refused: the Atlas Admin API's, and ours for what Atlas has not. */
export type RefusalCode =
  | 'CLUSTER_NOT_FOUND'
  | 'SNAPSHOT_NOT_FOUND'
  | 'INVALID_SNAPSHOT_ID'
  | 'UNFINISHED_ON_DEMAND_SNAPSHOT'
  | 'CANNOT_DELETE_IN_PROGRESS_SNAPSHOT'
  | 'CANNOT_MODIFY_IN_PROGRESS_SNAPSHOT_RETENTION'
  | 'CANNOT_MODIFY_SNAPSHOT'
  | 'BACKUP_SNAPSHOT_RETENTION_VALUE_INVALID'
  | 'BACKUP_JOB_NOT_FOUND'
  | 'BACKUP_CONFIG_NOT_FOUND'
  | 'INVALID_BACKUP_POLICY'
  | 'INVALID_POLICY_ID'
  | 'INVALID_POLICY_ITEM_ID'
  | 'INVALID_NUM_OF_POLICIES'
  | 'INVALID_NUM_OF_POLICY_ITEMS'
  | 'INVALID_REFERENCE_HOUR_OF_DAY'
  | 'INVALID_REFERENCE_MINUTE_OF_HOUR'
  | 'INVALID_FREQUENCY_TYPE_CHANGE'
  | 'INVALID_RESTORE_WINDOW'
  | 'MISSING_POLICY_ITEM_PARAMETERS'
  | 'FEATURE_UNSUPPORTED'
  | 'CLUSTER_CANNOT_BE_COPIED'
  | 'SNAPSHOT_NOT_IN_PROGRESS';

/** Why something was not done: an expected outcome, so a value and not an exception. */
export interface Refusal {
  readonly code: RefusalCode;
  /** For people: what is wrong and what to do. */
  readonly detail: string;
  /** The values that `detail` names. */
  readonly parameters: readonly string[];
}

export interface Refused {
  readonly kind: 'refused';
  readonly refusal: Refusal;
}

/** A value, or why there is none. */
export type Outcome<Value> = { readonly kind: 'done'; readonly value: Value } | Refused;

export const done = <Value>(value: Value): Outcome<Value> => ({ kind: 'done', value });

export const refused = (code: RefusalCode, detail: string, parameters: readonly string[] = []): Refused => ({
  kind: 'refused',
  refusal: { code, detail, parameters },
});
