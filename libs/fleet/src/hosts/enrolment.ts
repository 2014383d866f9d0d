import { newObjectId, type EnrolmentRequest, type EnrolmentResponse } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { AgentAuthenticator } from '@atrest/platform-auth';
import type { Clock } from '@atrest/platform-time';
import { Refusal } from '../refusal.js';
import { agentCredential, hashOf, newSecret } from './credentials.js';
import { HOST_SILENT_AFTER_MS, isSilent } from './host-liveness.js';

/** Long enough to install an agent by hand, short enough that a token left in a shell history is worth nothing the next day. */
export const ENROLMENT_TOKEN_MS = 60 * 60_000;

/** Brings hosts in: one-time tokens, and the credentials that agents get for them. */
export class Enrolment implements AgentAuthenticator {
  constructor(private readonly parts: { readonly database: ServiceDatabase; readonly clock: Clock; readonly logger: Logger }) {}

  /** A token that enrols one host into the organisation, once, within {@link ENROLMENT_TOKEN_MS}. */
  async createToken(orgId: string): Promise<{ readonly token: string; readonly expiresAt: Date }> {
    const now = this.parts.clock.now();
    const { value, hash } = newSecret('enrolment');
    const expiresAt = new Date(now.getTime() + ENROLMENT_TOKEN_MS);
    await this.parts.database.query('DELETE FROM enrolment_token WHERE expires_at < $1 AND used_at IS NULL', [now]);
    await this.parts.database.query('INSERT INTO enrolment_token (hash, org_id, expires_at) VALUES ($1, $2, $3)', [hash, orgId, expiresAt]);
    return { token: value, expiresAt };
  }

  /**
   * Trades a token for a host and its credential. A host that was enrolled before (same name and data folder in the organisation) keeps its id and
   * its processes and gets a new credential: an agent that lost its state folder comes back as the host it was. Not while that host's agent is heard of:
   * a second machine of the same name would take the first one's goal, and nobody could stop the first one's databases any more.
   *
   * A token is used once, but its answer may be lost: the agent that used it, and proves that by the secret it sent then, gets the same answer again.
   * @throws {Refusal} USER_UNAUTHORIZED for a token that is unknown, used or expired: which of these is not told; INVALID_ATTRIBUTE for a host that is
   *   heard of. The token is not used up then
   */
  async enrol(request: EnrolmentRequest): Promise<EnrolmentResponse> {
    const { database, clock, logger } = this.parts;
    const { token: text, retrySecret } = request;
    const { value: credential, hash } = retrySecret === undefined ? newSecret('agent') : agentCredential(text, retrySecret);
    const retryHash = retrySecret === undefined ? null : hashOf(retrySecret);
    const hostId = await database.transaction(async (tx) => {
      const now = clock.now();
      const [token] = await rows<{ org_id: string }>(
        tx,
        `UPDATE enrolment_token SET used_at = $2, retry_hash = $3
          WHERE hash = $1 AND used_at IS NULL AND expires_at > $2 RETURNING org_id`,
        [hashOf(text), now, retryHash],
      );
      if (token === undefined) return this.enrolledBefore(tx, request, { hash, retryHash, now });
      const known = await this.findKnown(tx, token.org_id, request);
      if (known !== undefined && !isSilent(known.last_heard_at, now)) throw stillHeard(request);
      const id = known?.id ?? newObjectId(now);
      await this.store(tx, { id, orgId: token.org_id, hash, request, now });
      await rows(tx, 'UPDATE enrolment_token SET host_id = $2 WHERE hash = $1', [hashOf(text), id]);
      return id;
    });
    logger.info({ hostId, hostname: request.hostname }, 'a host was enrolled');
    return { hostId, credential };
  }

  /**
   * The host that this token enrolled, for who enrolled it: same secret, same name and data folder, and the credential it was given is still the host's own.
   * @throws {Refusal} USER_UNAUTHORIZED
   */
  private async enrolledBefore(
    tx: Transaction,
    request: EnrolmentRequest,
    proof: { readonly hash: Buffer; readonly retryHash: Buffer | null; readonly now: Date },
  ): Promise<string> {
    const [host] = await rows<{ id: string }>(
      tx,
      `SELECT host.id FROM enrolment_token JOIN host ON host.id = enrolment_token.host_id
        WHERE enrolment_token.hash = $1 AND enrolment_token.retry_hash = $2 AND enrolment_token.expires_at > $3
          AND host.credential_hash = $4 AND host.hostname = $5 AND host.data_folder = $6 AND host.deleted_at IS NULL`,
      [hashOf(request.token), proof.retryHash, proof.now, proof.hash, request.hostname, request.dataFolder],
    );
    if (host === undefined) throw new Refusal('USER_UNAUTHORIZED', 'The enrolment token is not valid, was used or has expired.');
    return host.id;
  }

  async authenticate(bearer: string): Promise<{ hostId: string } | null> {
    const [host] = await this.parts.database.query<{ id: string }>(
      'SELECT id FROM host WHERE credential_hash = $1 AND deleted_at IS NULL',
      [hashOf(bearer)],
    );
    return host === undefined ? null : { hostId: host.id };
  }

  private async findKnown(
    tx: Transaction,
    orgId: string,
    request: EnrolmentRequest,
  ): Promise<{ readonly id: string; readonly last_heard_at: Date | null } | undefined> {
    const [known] = await rows<{ id: string; last_heard_at: Date | null }>(
      tx,
      'SELECT id, last_heard_at FROM host WHERE org_id = $1 AND hostname = $2 AND data_folder = $3 AND deleted_at IS NULL AND given_up_at IS NULL FOR NO KEY UPDATE',
      [orgId, request.hostname, request.dataFolder],
    );
    return known;
  }

  private async store(
    tx: Transaction,
    host: { readonly id: string; readonly orgId: string; readonly hash: Buffer; readonly request: EnrolmentRequest; readonly now: Date },
  ): Promise<void> {
    const { request, now } = host;
    await rows(
      tx,
      `INSERT INTO host AS known (id, org_id, hostname, data_folder, port_first, port_last, capacity, allows_colocation, agent_version, credential_hash,
                                  enrolled_at, last_heard_at, goal_version, goal_issued_at, sealing_key)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, 1, $11, $12)
       ON CONFLICT (id) DO UPDATE
          SET port_first = EXCLUDED.port_first, port_last = EXCLUDED.port_last, capacity = EXCLUDED.capacity,
              allows_colocation = EXCLUDED.allows_colocation, agent_version = EXCLUDED.agent_version,
              credential_hash = EXCLUDED.credential_hash, last_heard_at = EXCLUDED.last_heard_at, report_run = NULL, report_sequence = NULL,
              reported_version = NULL,
              sealing_key = EXCLUDED.sealing_key`,
      [
        host.id,
        host.orgId,
        request.hostname,
        request.dataFolder,
        request.portRange.first,
        request.portRange.last,
        request.capacity,
        request.allowsColocation,
        request.agentVersion,
        host.hash,
        now,
        request.sealingKey === undefined ? null : JSON.stringify(request.sealingKey),
      ],
    );
  }
}

const stillHeard = ({ hostname, dataFolder }: EnrolmentRequest): Refusal =>
  new Refusal(
    'INVALID_ATTRIBUTE',
    `The host ${hostname} with the data folder ${dataFolder} is enrolled, and its agent was heard of within the last ${HOST_SILENT_AFTER_MS / 1000} seconds. ` +
      'Two machines need two host names; an agent that lost its state folder is enrolled again when it has been silent for that long.',
    ['hostname'],
  );
