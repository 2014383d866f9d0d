import type { ProcessGoal } from '@atrest/contracts';
import type { ProcessRunner } from '@atrest/mongod';
import type { Logger } from '@atrest/platform-logging';
import type { Clock } from '@atrest/platform-time';
import type { Authority, ConvergeSettings } from './converge.js';
import type { RestartSettings } from './restarts.js';
import type { StateFolder } from './state-folder.js';

export interface SupervisorSettings extends ConvergeSettings, RestartSettings {
  /** A stop that takes longer is reported as overdue. */
  readonly warnAfterMs: number;
}

/** What all supervisors of a host share. */
export interface SupervisorContext {
  readonly runner: ProcessRunner;
  readonly state: StateFolder;
  readonly programs: { readonly mongod: string; readonly mongos: string | null };
  readonly childEnvironment: Readonly<Record<string, string>>;
  /** Opens what was sealed for this host. @throws {SealedForOthersError} */
  readonly open: (sealed: string) => Promise<string>;
  readonly dataFolder: string;
  /** Several members of one replica set may share this host. */
  readonly allowsColocation: boolean;
  readonly settings: SupervisorSettings;
  readonly clock: Clock;
  /** Milliseconds of a clock that never jumps: patience is not shortened by a corrected wall clock. */
  readonly ticks: () => number;
  readonly logger: Logger;
  readonly onChange: () => void;
}

/** The goal of one process with what is known about the goal itself. */
export interface SupervisedGoal {
  readonly goal: ProcessGoal;
  readonly authority: Authority;
  /** Another process of the host has the same data path or port: nothing is done with this one. */
  readonly conflict: string | null;
}
