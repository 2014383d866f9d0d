import type { StandaloneSummary } from './standalone.js';

/** What a person needs to know after the start, one thing a line. */
export function summaryLines({ apiUrl, owner, mailboxUrl, developmentKms, servers }: StandaloneSummary): string[] {
  const lines = [`Atrest is ready at ${apiUrl}`];
  if (owner !== null) {
    lines.push(
      'The first organisation owner, shown this once:',
      `  organisation  ${owner.orgId}`,
      `  client id     ${owner.clientId}`,
      `  client secret ${owner.secret}`,
    );
  }
  if (mailboxUrl !== null) lines.push(`Mail is caught at ${mailboxUrl}`);
  if (developmentKms !== null) {
    const { accessKeyId, secretAccessKey } = developmentKms.credentials;
    lines.push(
      `Development KMS (AWS protocol, not for production) at ${developmentKms.server.url}`,
      `  access key    ${accessKeyId}`,
      `  secret key    ${secretAccessKey}`,
    );
  }
  if (servers !== null) lines.push(`Database server: ${servers.description}`);
  return lines;
}
