import { accessConsumes, accessHandlers, accessMigrations, AccessStore } from '@atrest/platform-auth';
import { EventPublisher, Messaging, messagingMigrations } from '@atrest/platform-messaging';
import { ServiceDatabase } from '@atrest/platform-persistence';
import type { Service, ServiceDependencies } from '@atrest/platform-service';
import { CommandAnswers } from './command-answers.js';
import { commandConsumes, CommandIntake } from './command-intake.js';
import { RestoreCommands1795392300000 } from './migrations/1795392300000-restore-commands.js';
import { Patience } from './patience.js';
import { ClusterProjection } from './projections/cluster-projection.js';
import { projectionConsumes, projectionHandlers, projectionIgnores } from './projections/handlers.js';
import { ProjectProjection } from './projections/project-projection.js';
import { RestoreCommandRepository } from './restore-command.repository.js';
import { restoreExecutionModule } from './restore-execution.module.js';
import { withCommandsApart } from './subjects-apart.js';

export interface RestoreExecutionOptions {
  /**
   * Milliseconds for which a command whose account or key is not known is tried again before it is rejected; 2,000 by default: far above any
   * lag of a healthy installation. Must stay below the 6 s for which events are tried again at least, or the command is parked unanswered.
   */
  readonly projectionWaitMs?: number;
}

/** This service's own tables, without those of messaging and access. */
export const restoreExecutionMigrations = [RestoreCommands1795392300000];

/** Takes in the restore commands of other teams (DESIGN: restore-execution), ready to start. */
export async function createRestoreExecutionService(
  dependencies: ServiceDependencies,
  options: RestoreExecutionOptions = {},
): Promise<Service> {
  const { clock, logger, metrics, transport } = dependencies;
  const service = 'restore-execution';
  const database = await ServiceDatabase.open({
    ...dependencies.database,
    service,
    migrations: [...messagingMigrations, ...accessMigrations, ...restoreExecutionMigrations],
    logger,
    metrics,
  });
  const access = new AccessStore(database, clock);
  const projects = new ProjectProjection();
  const clusters = new ClusterProjection();
  const commands = new RestoreCommandRepository();
  const answers = new CommandAnswers({ commands, publisher: new EventPublisher(service, clock), metrics, clock, logger });
  const patience = new Patience(options.projectionWaitMs ?? 2_000, clock);
  const intake = new CommandIntake({ access, projects, clusters, commands, answers, patience, clock });
  const messaging = new Messaging({
    service,
    database,
    transport: withCommandsApart(transport),
    consumes: [...projectionConsumes, ...accessConsumes, commandConsumes],
    handlers: [...projectionHandlers({ projects, clusters }), ...accessHandlers(access), intake.handler()],
    ignores: projectionIgnores,
    clock,
    logger,
    metrics,
  });
  return {
    name: service,
    module: restoreExecutionModule(),
    messaging,
    start: () => messaging.start(),
    async stop() {
      await messaging.stop();
      await database.close();
    },
    async readiness() {
      const answers = await Promise.all([database.readiness(), messaging.readiness()]);
      return answers.find(({ ok }) => !ok) ?? { ok: true };
    },
  };
}
