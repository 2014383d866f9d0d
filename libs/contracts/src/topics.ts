/** A stream of events. Kafka creates it as declared here; the embedded transport only uses the name. */
export interface Topic {
  readonly name: string;
  /** 12 to begin with (DESIGN §11): the upper bound of consumers that share a service's work. */
  readonly partitions: number;
  /** Compacted topics keep the latest event per key, which is enough to rebuild a projection. */
  readonly compacted: boolean;
  /** Days an event is kept when the topic is not compacted. */
  readonly retentionDays: number;
  readonly description: string;
}

const compacted = (name: string, description: string): Topic => ({ name, partitions: 12, compacted: true, retentionDays: 7, description });

const kept = (name: string, retentionDays: number, description: string): Topic => ({
  name,
  partitions: 12,
  compacted: false,
  retentionDays,
  description,
});

/** Every topic of Atrest. A service publishes only to its own (DESIGN §2); to `restoreCommands` only other teams do. */
export const topics = {
  projects: compacted('atrest.projects', 'Projects with their members and roles'),
  clusters: compacted('atrest.clusters', 'Clusters, their processes and states'),
  access: compacted(
    'atrest.access',
    'Service accounts, public signing keys and revoked tokens, so that every service can check access by itself',
  ),
  keyConfigurations: compacted('atrest.key-configurations', 'Key configurations and their validity'),
  // What is sealed in them can be opened on one host only, and is of use for minutes.
  keyAccess: kept('atrest.key-access', 1, 'Access to customer keys, each sealed for the one agent that needs it for a task'),
  snapshots: compacted('atrest.snapshots', 'Snapshots, from request to deletion'),
  backupJobs: kept('atrest.backup-jobs', 7, 'Work on snapshots that agents should do: take, prove, delete'),
  agentTasks: kept('atrest.agent-tasks', 7, 'What became of the work of agents'),
  notifications: compacted('atrest.notifications', 'What was told to whom'),
  restoreCommands: {
    name: 'atrest.restore-commands',
    partitions: 12,
    // Commands are no state: the latest per key says nothing about the others. After 15 minutes they are not carried out any more.
    compacted: false,
    retentionDays: 7,
    description: 'Commands of other teams that ask for a restore. Each is signed by the service account that it names',
  },
  restoreJobs: compacted('atrest.restore-jobs', 'What became of restore commands'),
} as const satisfies Record<string, Topic>;

/** Where what a service parked of a topic goes as well, as it arrived, with `x-atrest-dlq-*` headers that say why. For watching; replay is from the service's own dead letters. */
export const deadLetterTopicOf = (topic: Topic): Topic => ({
  name: `${topic.name}.dlq`,
  partitions: 3,
  compacted: false,
  retentionDays: 14,
  description: `What could not be handled of ${topic.name}`,
});
