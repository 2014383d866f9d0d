// Provider tokens of fleet. Symbols: in the standalone app several contexts share one Nest application.
export const PROJECTS = Symbol('fleet.projects');
export const CLUSTERS = Symbol('fleet.clusters');
export const HOSTS = Symbol('fleet.hosts');
export const ENROLMENT = Symbol('fleet.enrolment');
export const GOAL_POLL = Symbol('fleet.goal-poll');
export const OBSERVATIONS = Symbol('fleet.observations');
export const AGENT_TASKS = Symbol('fleet.agent-tasks');
export const BACKUP_TASKS = Symbol('fleet.backup-tasks');
export const ORGANISATIONS = Symbol('fleet.organisations');
export const CLOCK = Symbol('fleet.clock');
