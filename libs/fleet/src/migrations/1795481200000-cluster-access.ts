import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How agents get into clusters with access control. Clusters of earlier releases have none. */
export class ClusterAccess1795481200000 implements MigrationInterface {
  readonly name = 'ClusterAccess1795481200000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE cluster_access (
        cluster_id text PRIMARY KEY REFERENCES cluster,
        -- With the service's sealing keys.
        sealed     text NOT NULL
      )`);
    await queryRunner.query(`
      CREATE TABLE host_access (
        cluster_id  text NOT NULL REFERENCES cluster,
        host_id     text NOT NULL REFERENCES host,
        -- The public key of the host that it was sealed for.
        sealing_key text NOT NULL,
        sealed      text NOT NULL,
        PRIMARY KEY (cluster_id, host_id)
      )`);
    await queryRunner.query('CREATE INDEX host_access_host ON host_access (host_id)');
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE host_access, cluster_access');
  }
}
