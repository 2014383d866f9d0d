import { command, facts, heading, paragraph, type Block, type MailContent } from '../mail/mail-content.js';
import { clusterBlocks, HONESTY, type KeyMessageFacts } from './key-messages.js';
import { apiUrl, capital, clusterCount, inDays, keyName, KMS_NAMES, utc } from './words.js';

/** The key will be deleted or expire: what to run to keep it. */
export function keyEndApproachingMessage({ project, configuration, clusters }: KeyMessageFacts): MailContent {
  const { ending, provider } = configuration;
  const deletion = ending?.kind !== 'EXPIRY';
  const what = deletion ? 'will be deleted for good' : 'will expire';
  const when = ending === undefined ? 'soon' : inDays(ending.daysLeft);
  return {
    subject: `[Atrest] Customer key of project ${project.name} ${what} ${when}: ${clusterCount(clusters.length)} affected`,
    blocks: [
      paragraph(`The customer key of project ${project.name} in ${KMS_NAMES[provider]} ${what} ${when}.`),
      facts([
        ['Key', keyName(configuration)],
        ['Region', configuration.region],
        [deletion ? 'Deleted on' : 'Expires on', ending === undefined ? null : utc(ending.at)],
      ]),
      ...(ending === undefined ? [] : [heading('How to keep it'), command(ending.command), paragraph(ending.explanation)]),
      heading('What happens otherwise'),
      paragraph(
        deletion
          ? 'Everything that only this key can decrypt is lost for good: the data of the clusters below, and every snapshot that was taken under this key. Nobody can bring it back, neither we nor the provider.'
          : 'From then on the key may no longer wrap anything: no process with an encrypted storage engine can be added, and no snapshot be taken under it. What was wrapped before may stay readable, depending on the provider.',
      ),
      heading('Clusters that use this key'),
      ...clusterBlocks(clusters),
      paragraph(
        'Nothing is stopped because of this message. If it is meant to end, rotate to another key and keep this one for as long as snapshots need it.',
      ),
    ],
  };
}

/** The end that was announced will not come. */
export function keyEndCalledOffMessage({ project, configuration }: KeyMessageFacts): MailContent {
  const { ending, provider } = configuration;
  return {
    subject: `[Atrest] Customer key of project ${project.name} stays: its ${ending?.kind === 'EXPIRY' ? 'expiry' : 'deletion'} is called off`,
    blocks: [
      paragraph(
        `The customer key of project ${project.name} in ${KMS_NAMES[provider]} will not ${ending?.kind === 'EXPIRY' ? 'expire' : 'be deleted'} as announced.`,
      ),
      facts([
        ['Key', keyName(configuration)],
        ['Was announced for', ending === undefined ? null : utc(ending.at)],
      ]),
      ...(configuration.state === 'VALID'
        ? []
        : [
            paragraph(
              'It is not usable at present, though. A key comes out of a planned deletion disabled in some clouds: enable it as well.',
            ),
          ]),
    ],
  };
}

/** The key was not changed for longer than the project wants. */
export function keyRotationDueMessage({ project, configuration, publicUrl }: KeyMessageFacts): MailContent {
  const { rotation, provider } = configuration;
  return {
    subject: `[Atrest] Customer key of project ${project.name} needs rotation${rotation === undefined ? '' : `: it is ${rotation.ageDays} days old`}`,
    blocks: [
      paragraph(
        rotation === undefined
          ? `The customer key of project ${project.name} in ${KMS_NAMES[provider]} needs rotation.`
          : `The customer key of project ${project.name} in ${KMS_NAMES[provider]} was last changed ${rotation.ageDays} days ago.`,
      ),
      facts([
        ['Key', keyName(configuration)],
        ['Last changed', rotation === undefined ? null : utc(rotation.rotatedAt)],
        ['Reminder after', rotation?.reminderDays == null ? null : `${rotation.reminderDays} days`],
        ['Event type', configuration.atlasEventType ?? null],
      ]),
      heading('How to rotate it'),
      paragraph(
        'Make a new key (or key version) in your KMS and store its identifier with PATCH …/encryptionAtRest; it is proven before it is stored. Running databases go on, nothing is rewritten. Snapshots from then on belong to the new key; keep the old one for as long as there are snapshots under it.',
      ),
      ...policyBlocks(project.id, publicUrl),
    ],
  };
}

/** The key was changed, by the project or by the provider. */
export function keyRotatedMessage({ project, configuration }: KeyMessageFacts): MailContent {
  const { rotation, provider } = configuration;
  return {
    subject: `[Atrest] Customer key of project ${project.name} was rotated`,
    blocks: [
      paragraph(
        rotation?.automatic === true
          ? `${capital(KMS_NAMES[provider])} renewed the customer key of project ${project.name} by itself. You need not do anything.`
          : `The customer key of project ${project.name} in ${KMS_NAMES[provider]} was rotated.`,
      ),
      facts([
        ['Key', keyName(configuration)],
        ['Rotated', rotation === undefined ? null : utc(rotation.rotatedAt)],
        ['Next reminder after', rotation?.reminderDays == null ? null : `${rotation.reminderDays} days`],
      ]),
      paragraph('Do not delete the former key or version: snapshots that were taken under it can only be restored with it.'),
    ],
  };
}

/** The project decided to observe only while its key is not usable: what was stopped starts again. */
export function enforcementEndedMessage({ project, configuration, clusters }: KeyMessageFacts): MailContent {
  return {
    subject: `[Atrest] Project ${project.name} now only observes its customer key: ${clusterCount(clusters.length)} starting again`,
    blocks: [
      paragraph(
        `The validity policy of project ${project.name} was changed to observe. Its customer key in ${KMS_NAMES[configuration.provider]} is still not usable, but that stops nothing any more.`,
      ),
      facts([['Key', keyName(configuration)]]),
      heading('Clusters starting again'),
      ...clusterBlocks(clusters),
      paragraph(
        'A mongod with an encrypted storage engine cannot start without its key. If nobody of your team changed the policy, look at who may: whoever can switch enforcement off can keep using data whose key you revoked.',
      ),
      paragraph(HONESTY),
    ],
  };
}

function policyBlocks(projectId: string, publicUrl: string): Block[] {
  return [
    paragraph('To be reminded after another number of days, or (null) not at all, e.g. where the provider rotates the key by itself:'),
    command(
      `curl -X PATCH -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/vnd.atlas.2023-01-01+json" -d '{"rotationReminderDays": 400}' ${apiUrl(publicUrl, `groups/${projectId}/encryptionAtRest/validityPolicy`)}`,
    ),
  ];
}
