import type { ProjectMember, ProjectRole, ProjectState, ResourceTag } from '@atrest/contracts';
import { rows, type Transaction } from '@atrest/platform-persistence';
import type { Query } from '../query.js';

/** A project as it is stored, without its members. */
export interface Project {
  readonly id: string;
  readonly orgId: string;
  readonly name: string;
  readonly tags: readonly ResourceTag[];
  readonly regionUsageRestrictions: string;
  readonly createdAt: Date;
  readonly deletedAt: Date | null;
  readonly revision: number;
}

export interface ProjectWithCount extends Project {
  readonly clusterCount: number;
}

export interface StoredMember extends ProjectMember {
  readonly createdAt: Date;
}

interface ProjectRow {
  id: string;
  org_id: string;
  name: string;
  tags: ResourceTag[];
  region_usage_restrictions: string;
  created_at: Date;
  deleted_at: Date | null;
  revision: number;
  cluster_count: number;
}

interface MemberRow {
  id: string;
  email: string;
  roles: ProjectRole[];
  created_at: Date;
}

const projectOf = (row: ProjectRow): ProjectWithCount => ({
  id: row.id,
  orgId: row.org_id,
  name: row.name,
  tags: row.tags,
  regionUsageRestrictions: row.region_usage_restrictions,
  createdAt: row.created_at,
  deletedAt: row.deleted_at,
  revision: row.revision,
  clusterCount: row.cluster_count,
});

const memberOf = (row: MemberRow): StoredMember => ({ id: row.id, email: row.email, roles: row.roles, createdAt: row.created_at });

const SELECT_PROJECT = `
  SELECT project.*, (SELECT count(*) FROM cluster WHERE cluster.project_id = project.id AND cluster.deleted_at IS NULL) AS cluster_count
    FROM project WHERE project.deleted_at IS NULL`;

export async function findProject(query: Query, id: string): Promise<ProjectWithCount | undefined> {
  const [row] = await query<ProjectRow>(`${SELECT_PROJECT} AND project.id = $1`, [id]);
  return row && projectOf(row);
}

/** The projects of an organisation, by name; only those with these ids when any are given. */
export async function listProjects(query: Query, orgId: string, only: readonly string[] | null): Promise<ProjectWithCount[]> {
  const found = await query<ProjectRow>(
    `${SELECT_PROJECT} AND project.org_id = $1 AND ($2::text[] IS NULL OR project.id = ANY($2)) ORDER BY project.name, project.id`,
    [orgId, only],
  );
  return found.map(projectOf);
}

export async function findProjectByName(query: Query, orgId: string, name: string): Promise<ProjectWithCount | undefined> {
  const [row] = await query<ProjectRow>(`${SELECT_PROJECT} AND project.org_id = $1 AND project.name = $2`, [orgId, name]);
  return row && projectOf(row);
}

/** Locks a project until the transaction ends. Nothing new can come into it meanwhile. */
export async function lockProject(tx: Transaction, id: string): Promise<ProjectWithCount | undefined> {
  await rows(tx, 'SELECT FROM project WHERE id = $1 FOR NO KEY UPDATE', [id]);
  const [row] = await rows<ProjectRow>(tx, `${SELECT_PROJECT} AND project.id = $1`, [id]);
  return row && projectOf(row);
}

export async function insertProject(tx: Transaction, project: Project): Promise<'inserted' | 'name-taken'> {
  const inserted = await rows(
    tx,
    `INSERT INTO project (id, org_id, name, tags, region_usage_restrictions, created_at, revision) VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (org_id, name) WHERE deleted_at IS NULL DO NOTHING RETURNING id`,
    [
      project.id,
      project.orgId,
      project.name,
      JSON.stringify(project.tags),
      project.regionUsageRestrictions,
      project.createdAt,
      project.revision,
    ],
  );
  return inserted.length === 1 ? 'inserted' : 'name-taken';
}

/** The project must be locked. `name-taken`: another project of the organisation has the name. */
export async function writeProject(tx: Transaction, project: Project): Promise<'written' | 'name-taken'> {
  const [taken] = await rows(
    tx,
    'SELECT id FROM project WHERE org_id = $1 AND name = $2 AND id <> $3 AND deleted_at IS NULL AND $4::timestamptz IS NULL',
    [project.orgId, project.name, project.id, project.deletedAt],
  );
  if (taken !== undefined) return 'name-taken';
  await rows(tx, 'UPDATE project SET name = $2, tags = $3, deleted_at = $4, revision = $5 WHERE id = $1 AND deleted_at IS NULL', [
    project.id,
    project.name,
    JSON.stringify(project.tags),
    project.deletedAt,
    project.revision,
  ]);
  return 'written';
}

export async function listMembers(query: Query, projectId: string): Promise<StoredMember[]> {
  return (await query<MemberRow>('SELECT * FROM member WHERE project_id = $1 ORDER BY lower(email)', [projectId])).map(memberOf);
}

export async function insertMember(tx: Transaction, projectId: string, member: StoredMember): Promise<'inserted' | 'known'> {
  const inserted = await rows(
    tx,
    `INSERT INTO member (id, project_id, email, roles, created_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (project_id, lower(email)) DO NOTHING RETURNING id`,
    [member.id, projectId, member.email, member.roles, member.createdAt],
  );
  return inserted.length === 1 ? 'inserted' : 'known';
}

export async function changeMember(
  tx: Transaction,
  projectId: string,
  id: string,
  roles: readonly ProjectRole[],
): Promise<'changed' | 'unknown'> {
  const changed = await rows(tx, 'UPDATE member SET roles = $3 WHERE id = $1 AND project_id = $2 RETURNING id', [id, projectId, roles]);
  return changed.length === 1 ? 'changed' : 'unknown';
}

export async function removeMember(tx: Transaction, projectId: string, id: string): Promise<'removed' | 'unknown'> {
  const removed = await rows(tx, 'DELETE FROM member WHERE id = $1 AND project_id = $2 RETURNING id', [id, projectId]);
  return removed.length === 1 ? 'removed' : 'unknown';
}

/** A project as other services may remember it. */
export function stateOf(project: Project, members: readonly ProjectMember[]): ProjectState {
  return {
    id: project.id,
    orgId: project.orgId,
    name: project.name,
    members: members.map(({ id, email, roles }) => ({ id, email, roles: [...roles] })),
    createdAt: project.createdAt.toISOString(),
    deletedAt: project.deletedAt?.toISOString() ?? null,
    revision: project.revision,
  };
}
