import { keyConfigurationEvents } from '@atrest/contracts';
import { accessModule, type SealingKeys } from '@atrest/platform-auth';
import { EventPublisher, Messaging, messagingMigrations } from '@atrest/platform-messaging';
import { ServiceDatabase } from '@atrest/platform-persistence';
import type { Readiness, Service, ServiceDependencies } from '@atrest/platform-service';
import { Module, type DynamicModule } from '@nestjs/common';
import { createAccess, fleetAccessMigrations, type FirstOwner, type FleetAccess } from './access/fleet-access.js';
import { AgentTasks, TASK_CHANNEL } from './agent-channel/agent-tasks.js';
import { GoalPoll } from './agent-channel/goal-poll.js';
import { Observations } from './agent-channel/observations.js';
import { WakeUp } from './agent-channel/wake-up.js';
import { backupTaskConsumes, backupTaskHandlers } from './backup-tasks/backup-task-handlers.js';
import { BackupTaskWatchdog } from './backup-tasks/backup-task-watchdog.js';
import { BackupTasks } from './backup-tasks/backup-tasks.js';
import { ClusterAccess } from './clusters/cluster-access.js';
import { ClusterLifecycle } from './clusters/cluster-lifecycle.js';
import { Clusters } from './clusters/clusters.js';
import { Reconciler } from './clusters/reconciler.js';
import { fleetControllers } from './fleet-controllers.js';
import { Enrolment } from './hosts/enrolment.js';
import { Hosts } from './hosts/hosts.js';
import { HOST_CHANNEL } from './hosts/hosts.repository.js';
import { fleetMigrations } from './migrations/index.js';
import { Projects } from './projects/projects.js';
import { keyConfigurationHandlers, keyConfigurationIgnores, RECONCILE_CHANNEL } from './projections/key-configuration-handlers.js';
import {
  AGENT_TASKS,
  BACKUP_TASKS,
  CLOCK,
  CLUSTERS,
  ENROLMENT,
  GOAL_POLL,
  HOSTS,
  OBSERVATIONS,
  ORGANISATIONS,
  PROJECTS,
} from './tokens.js';

export interface FleetOptions {
  /** Seals the private halves of the keys that sign access tokens, and how agents get into clusters. */
  readonly sealingKeys: SealingKeys;
  /** The `iss` of access tokens, usually the public URL; the same for every service. */
  readonly issuer: string;
}

/** The service `fleet`, with what only the process that hosts it may do. */
export interface FleetService extends Service {
  readonly access: FleetAccess;
  /** At the very first start creates an organisation and its owner, whose secret is never shown again; null at every later one. */
  bootstrap(): Promise<FirstOwner | null>;
  /** Another owner of the first organisation, for operators; null when there is no organisation yet. */
  recoverOwner(): Promise<FirstOwner | null>;
  /** A one-time token for a host of the first organisation: for an agent in the same process. Call it after {@link FleetService.bootstrap}. */
  createEnrolmentToken(): Promise<string>;
}

/** Thrown when a token is asked for before there is an organisation to enrol hosts into. */
export class NoOrganisationError extends Error {
  readonly code = 'FLEET.NO_ORGANISATION';

  constructor() {
    super('There is no organisation yet: bootstrap the service first.');
    this.name = 'NoOrganisationError';
  }
}

@Module({})
class FleetModule {}

/** Builds the service: opens its database, wires everything by hand. Nothing runs before `start`. */
export async function createFleetService(dependencies: ServiceDependencies, options: FleetOptions): Promise<FleetService> {
  const { clock, logger, metrics, transport } = dependencies;
  const database = await ServiceDatabase.open({
    service: 'fleet',
    migrations: [...messagingMigrations, ...fleetAccessMigrations, ...fleetMigrations],
    logger,
    metrics,
    ...dependencies.database,
  });
  const publisher = new EventPublisher('fleet', clock);
  const access = createAccess({ database, publisher, clock, logger, ...options });
  const clusterAccess = new ClusterAccess(options.sealingKeys);
  const lifecycle = new ClusterLifecycle({ publisher, clock, logger, access: clusterAccess });
  const reconciler = new Reconciler({ database, clock, lifecycle, logger });
  const projects = new Projects({ database, publisher, clock, access });
  const enrolment = new Enrolment({ database, clock, logger });
  const hostWakeUp = new WakeUp();
  const taskWakeUp = new WakeUp();
  const tasks = new AgentTasks({ database, clock, results: taskWakeUp });
  const backupTasks = new BackupTasks({ database, publisher, clock, logger });
  const watchdog = new BackupTaskWatchdog({ tasks: backupTasks, clock, logger });
  const messaging = new Messaging({
    service: 'fleet',
    database,
    transport,
    consumes: [...keyConfigurationEvents, ...backupTaskConsumes],
    ignores: [...keyConfigurationIgnores],
    handlers: [...keyConfigurationHandlers({ lifecycle, clock }), ...backupTaskHandlers(backupTasks)],
    clock,
    logger,
    metrics,
  });

  const module: DynamicModule = {
    module: FleetModule,
    imports: [
      accessModule({
        store: access.store,
        clock,
        logger,
        issuer: options.issuer,
        projects,
        agentAuthenticator: enrolment,
        projectionWaitMs: 0,
      }),
    ],
    controllers: [...fleetControllers],
    providers: [
      ...access.providers,
      { provide: CLOCK, useValue: clock },
      { provide: ORGANISATIONS, useValue: access.organisations },
      { provide: PROJECTS, useValue: projects },
      { provide: CLUSTERS, useValue: new Clusters({ database, publisher, clock, lifecycle, access: clusterAccess }) },
      { provide: HOSTS, useValue: new Hosts({ database, clock }) },
      { provide: ENROLMENT, useValue: enrolment },
      { provide: AGENT_TASKS, useValue: tasks },
      { provide: BACKUP_TASKS, useValue: backupTasks },
      { provide: GOAL_POLL, useValue: new GoalPoll({ database, clock, tasks, backupTasks, hosts: hostWakeUp }) },
      { provide: OBSERVATIONS, useValue: new Observations({ database, clock, lifecycle, backupTasks }) },
    ],
  };

  const listeners: (() => Promise<void>)[] = [];
  return {
    name: 'fleet',
    module,
    messaging,
    access,
    bootstrap: () => access.bootstrap(),
    recoverOwner: () => access.recoverOwner(),
    createEnrolmentToken: async () => {
      const [organisation] = await access.organisations.all();
      if (organisation === undefined) throw new NoOrganisationError();
      return (await enrolment.createToken(organisation.id)).token;
    },
    start: async () => {
      listeners.push(
        await database.listen(HOST_CHANNEL, (hostId) => hostWakeUp.wake(hostId)),
        await database.listen(TASK_CHANNEL, (taskId) => taskWakeUp.wake(taskId)),
        await database.listen(RECONCILE_CHANNEL, () => reconciler.wake()),
      );
      await clusterAccess.sealAnew(database);
      access.start();
      await messaging.start();
      reconciler.start();
      watchdog.start();
    },
    stop: async () => {
      await watchdog.stop();
      await reconciler.stop();
      await messaging.stop();
      await access.stop();
      for (const end of listeners.splice(0)) await end();
      await database.close();
    },
    readiness: () => readinessOf(database, messaging),
  };
}

async function readinessOf(database: ServiceDatabase, messaging: Messaging): Promise<Readiness> {
  const stored = await database.readiness();
  return stored.ok ? messaging.readiness() : stored;
}
