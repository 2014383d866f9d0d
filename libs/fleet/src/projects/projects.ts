import {
  newObjectId,
  projectCreated,
  projectDeleted,
  ProjectNameSchema,
  projectUpdated,
  type EventDefinition,
  type GroupChange,
  type GroupCreation,
  type ProjectRole,
  type ProjectState,
} from '@atrest/contracts';
import type { Caller, ProjectDirectory } from '@atrest/platform-auth';
import { groupNotFound } from '@atrest/platform-http';
import type { EventPublisher } from '@atrest/platform-messaging';
import type { ServiceDatabase, Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { inTransaction, onDatabase } from '../query.js';
import { Refusal } from '../refusal.js';
import {
  changeMember,
  findProject,
  findProjectByName,
  insertMember,
  insertProject,
  listMembers,
  listProjects,
  lockProject,
  removeMember,
  stateOf,
  writeProject,
  type ProjectWithCount,
  type StoredMember,
} from './projects.repository.js';

export interface ProjectsDependencies {
  readonly database: ServiceDatabase;
  readonly publisher: EventPublisher;
  readonly clock: Clock;
  /** Service accounts lose their roles in a project that is deleted. */
  readonly access: { projectDeleted(tx: Transaction, projectId: string): Promise<void> };
}

/** The use cases around projects and their members. Each change writes the project's whole state as one event. */
export class Projects implements ProjectDirectory {
  constructor(private readonly parts: ProjectsDependencies) {}

  /** Also of a deleted project. */
  async organisationOf(projectId: string): Promise<string | null> {
    const [row] = await this.parts.database.query<{ org_id: string }>('SELECT org_id FROM project WHERE id = $1', [projectId]);
    return row?.org_id ?? null;
  }

  /** @throws {ApiError} GROUP_NOT_FOUND */
  async find(projectId: string): Promise<ProjectWithCount> {
    const project = await findProject(onDatabase(this.parts.database), projectId);
    if (project === undefined) throw groupNotFound(projectId);
    return project;
  }

  /** The projects that a caller may see: all of its organisation for the owner, else those in which it has a role. */
  async visibleTo(caller: Caller): Promise<ProjectWithCount[]> {
    const own = caller.grants.flatMap((grant) => grant.projectId ?? []);
    const found = await listProjects(onDatabase(this.parts.database), caller.orgId, caller.hasRole('ORG_OWNER') ? null : own);
    return found.filter((project) => caller.hasRole('GROUP_READ_ONLY', { id: project.id, orgId: project.orgId }));
  }

  /** @throws {Refusal} GROUP_NAME_NOT_FOUND, also for a project that the caller may not see */
  async findByName(caller: Caller, name: string): Promise<ProjectWithCount> {
    const project = await findProjectByName(onDatabase(this.parts.database), caller.orgId, name);
    if (project === undefined || !caller.hasRole('GROUP_READ_ONLY', { id: project.id, orgId: project.orgId })) {
      const shown = name.slice(0, 64);
      throw new Refusal('GROUP_NAME_NOT_FOUND', `No group with name ${shown} exists.`, [shown]);
    }
    return project;
  }

  async create(caller: Caller, body: GroupCreation): Promise<ProjectWithCount> {
    if (body.orgId !== caller.orgId || !caller.hasRole('ORG_OWNER')) {
      throw new Refusal('NOT_ORG_GROUP_CREATOR', `The current user may not create groups in the organization ${body.orgId}.`, [body.orgId]);
    }
    checkName(body.name);
    const now = this.parts.clock.now();
    const project: ProjectWithCount = {
      id: newObjectId(now),
      orgId: body.orgId,
      name: body.name,
      tags: body.tags ?? [],
      regionUsageRestrictions: body.regionUsageRestrictions ?? 'COMMERCIAL_FEDRAMP_REGIONS_ONLY',
      createdAt: now,
      deletedAt: null,
      revision: 1,
      clusterCount: 0,
    };
    await this.parts.database.transaction(async (tx) => {
      if ((await insertProject(tx, project)) === 'name-taken') throw nameTaken(body.name);
      await this.parts.publisher.publish(tx, projectCreated, stateOf(project, []));
    });
    return project;
  }

  async update(projectId: string, body: GroupChange): Promise<ProjectWithCount> {
    if (body.name != null) checkName(body.name);
    return this.change(projectId, projectUpdated, async (tx, project) => {
      const next = { ...project, name: body.name ?? project.name, tags: body.tags ?? project.tags, revision: project.revision + 1 };
      if ((await writeProject(tx, next)) === 'name-taken') throw nameTaken(next.name);
      return next;
    });
  }

  /** @throws {Refusal} CANNOT_CLOSE_GROUP_ACTIVE_ATLAS_CLUSTERS while a cluster is left, also one that is being deleted */
  async delete(projectId: string): Promise<void> {
    await this.change(projectId, projectDeleted, async (tx, project) => {
      if (project.clusterCount > 0) {
        throw new Refusal('CANNOT_CLOSE_GROUP_ACTIVE_ATLAS_CLUSTERS', 'The group still has clusters: delete them first.', [projectId]);
      }
      const next = { ...project, deletedAt: this.parts.clock.now(), revision: project.revision + 1 };
      await writeProject(tx, next);
      await this.parts.access.projectDeleted(tx, projectId);
      return next;
    });
  }

  async members(projectId: string): Promise<StoredMember[]> {
    await this.find(projectId);
    return listMembers(onDatabase(this.parts.database), projectId);
  }

  /** @throws {Refusal} USER_NOT_FOUND */
  async member(projectId: string, memberId: string): Promise<StoredMember> {
    const member = (await this.members(projectId)).find((each) => each.id === memberId);
    if (member === undefined) throw memberNotFound(memberId);
    return member;
  }

  /** @throws {Refusal} USER_ALREADY_IN_GROUP */
  async addMember(projectId: string, email: string, roles: readonly ProjectRole[]): Promise<StoredMember> {
    const now = this.parts.clock.now();
    const member: StoredMember = { id: newObjectId(now), email, roles: [...new Set(roles)], createdAt: now };
    await this.changeMembers(projectId, async (tx) => {
      if ((await insertMember(tx, projectId, member)) === 'known') {
        throw new Refusal('USER_ALREADY_IN_GROUP', `The user ${email} is already a member of the group.`, [email]);
      }
    });
    return member;
  }

  async changeMember(projectId: string, memberId: string, roles: readonly ProjectRole[]): Promise<StoredMember> {
    await this.changeMembers(projectId, async (tx) => {
      if ((await changeMember(tx, projectId, memberId, [...new Set(roles)])) === 'unknown') throw memberNotFound(memberId);
    });
    return this.member(projectId, memberId);
  }

  /** The last owner may go too: then nobody is left to be told, which is the notification service's alert to the operators. */
  async removeMember(projectId: string, memberId: string): Promise<void> {
    await this.changeMembers(projectId, async (tx) => {
      if ((await removeMember(tx, projectId, memberId)) === 'unknown') throw memberNotFound(memberId);
    });
  }

  private async changeMembers(projectId: string, work: (tx: Transaction) => Promise<void>): Promise<void> {
    await this.change(projectId, projectUpdated, async (tx, project) => {
      await work(tx);
      const next = { ...project, revision: project.revision + 1 };
      await writeProject(tx, next);
      return next;
    });
  }

  private async change(
    projectId: string,
    event: EventDefinition<ProjectState>,
    work: (tx: Transaction, project: ProjectWithCount) => Promise<ProjectWithCount>,
  ): Promise<ProjectWithCount> {
    return this.parts.database.transaction(async (tx) => {
      const project = await lockProject(tx, projectId);
      if (project === undefined) throw groupNotFound(projectId);
      const changed = await work(tx, project);
      await this.parts.publisher.publish(tx, event, stateOf(changed, await listMembers(inTransaction(tx), projectId)));
      return changed;
    });
  }
}

function checkName(name: string): void {
  if (ProjectNameSchema.safeParse(name).success) return;
  const shown = name.slice(0, 64);
  throw new Refusal('INVALID_GROUP_NAME', `An invalid group name ${JSON.stringify(shown)} was specified.`, [shown]);
}

const nameTaken = (name: string): Refusal => new Refusal('GROUP_ALREADY_EXISTS', `A group with name "${name}" already exists.`, [name]);

const memberNotFound = (memberId: string): Refusal => new Refusal('USER_NOT_FOUND', `No user with ID ${memberId} exists.`, [memberId]);
