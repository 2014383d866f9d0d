import type { KeyEnding, KeyRotationState } from '@atrest/contracts';
import type { KeyDescription } from '@atrest/kms';
import type { KeepKeyAdvice } from './providers/provider-binding.js';

/** What is known of a key's future and age. It never stops anything. */
export interface KeyProspects {
  /** When the key was last changed, by the project or by its provider. */
  readonly rotatedAt: Date;
  /** The provider renews the key by itself. */
  readonly automaticRotation: boolean;
  /** `rotation-due` was told for the present `rotatedAt`. */
  readonly reminded: boolean;
  /** When the key stops being usable, where that is known. */
  readonly ending: KnownEnding | null;
}

export interface KnownEnding {
  readonly kind: KeyEnding['kind'];
  readonly at: Date;
  /** The latest warning that was given, in days; null before the first. */
  readonly warnedDays: number | null;
}

export type ProspectEvent =
  | { readonly kind: 'end-approaching' | 'end-called-off'; readonly ending: KeyEnding }
  | { readonly kind: 'rotation-due' | 'rotated'; readonly rotation: KeyRotationState };

/** Days before the end of a key at which people are warned. */
export const WARNING_DAYS = [7, 3, 1] as const;

const DAY_MS = 86_400_000;

/** The provider's moment of rotation is computed from its period and its next one: hours of difference are no rotation. */
const SAME_ROTATION_MS = DAY_MS;

export const freshProspects = (now: Date): KeyProspects => ({ rotatedAt: now, automaticRotation: false, reminded: false, ending: null });

/** What {@link foresee} needs beside what is known. */
export interface Outlook {
  readonly now: Date;
  /** What the provider said of the key just now; null when it was not asked or did not tell, which changes nothing. */
  readonly description: KeyDescription | null;
  /** Null: nobody is reminded. */
  readonly reminderDays: number | null;
  /** What to run to keep the key. */
  readonly keepKey: (kind: KeyEnding['kind']) => KeepKeyAdvice;
}

/** What follows from what the provider says of the key, and from time. Pure; gives back the same prospects when nothing changed. */
export function foresee(
  before: KeyProspects,
  outlook: Outlook,
): { readonly prospects: KeyProspects; readonly events: readonly ProspectEvent[] } {
  const rotated = seeRotation(before, outlook);
  const reminded = remind(rotated.prospects, outlook);
  const ended = seeEnding(reminded.prospects, outlook);
  const warned = warn(ended.prospects, outlook);
  return { prospects: warned.prospects, events: [...rotated.events, ...reminded.events, ...ended.events, ...warned.events] };
}

type Step = { readonly prospects: KeyProspects; readonly events: readonly ProspectEvent[] };

/** How the age of a key is told. */
export function rotationState({ rotatedAt, automaticRotation }: KeyProspects, reminderDays: number | null, now: Date): KeyRotationState {
  const ageDays = Math.max(0, Math.floor((now.getTime() - rotatedAt.getTime()) / DAY_MS));
  return { rotatedAt: rotatedAt.toISOString(), ageDays, reminderDays, automatic: automaticRotation };
}

/** A rotation by the provider changes neither key id nor version in its API, so it is seen by its dates only. */
function seeRotation(prospects: KeyProspects, { description, now, reminderDays }: Outlook): Step {
  const rotation = description?.rotation;
  if (rotation === undefined) return { prospects, events: [] };
  const seen = rotation.automatic === prospects.automaticRotation ? prospects : { ...prospects, automaticRotation: rotation.automatic };
  if (!rotation.automatic || rotation.nextRotationAt === null || rotation.periodDays === null) return { prospects: seen, events: [] };
  const last = new Date(rotation.nextRotationAt.getTime() - rotation.periodDays * DAY_MS);
  if (last > now || last.getTime() - seen.rotatedAt.getTime() < SAME_ROTATION_MS) return { prospects: seen, events: [] };
  const rotated = { ...seen, rotatedAt: last, reminded: false };
  return { prospects: rotated, events: [{ kind: 'rotated', rotation: rotationState(rotated, reminderDays, now) }] };
}

/** Nobody is reminded of a key that its provider renews. */
function remind(prospects: KeyProspects, { now, reminderDays }: Outlook): Step {
  const due =
    reminderDays !== null && !prospects.automaticRotation && now.getTime() - prospects.rotatedAt.getTime() >= reminderDays * DAY_MS;
  if (due === prospects.reminded) return { prospects, events: [] };
  const reminded = { ...prospects, reminded: due };
  return { prospects: reminded, events: due ? [{ kind: 'rotation-due', rotation: rotationState(reminded, reminderDays, now) }] : [] };
}

function endingOf({ state, deletionDate, expiresAt }: KeyDescription): Omit<KnownEnding, 'warnedDays'> | null {
  const endings = [
    // KMIP tells a date for a key that is in use; where a deletion was asked for, the state says so.
    ...(deletionDate === null
      ? []
      : [{ kind: state === 'PENDING_DELETION' ? ('DELETION' as const) : ('EXPIRY' as const), at: deletionDate }]),
    ...(expiresAt === undefined || expiresAt === null ? [] : [{ kind: 'EXPIRY' as const, at: expiresAt }]),
  ];
  return endings.toSorted((a, b) => a.at.getTime() - b.at.getTime())[0] ?? null;
}

function seeEnding(prospects: KeyProspects, outlook: Outlook): Step {
  if (outlook.description === null) return { prospects, events: [] };
  const found = endingOf(outlook.description);
  const known = prospects.ending;
  if (known?.at.getTime() === found?.at.getTime() && known?.kind === found?.kind) return { prospects, events: [] };
  // Whoever was warned hears that the date does not hold any more; of another date there are warnings of its own.
  const calledOff: ProspectEvent[] =
    known === null || known.warnedDays === null || (found !== null && found.at <= known.at)
      ? []
      : [{ kind: 'end-called-off', ending: toKeyEnding(known, known.warnedDays, outlook) }];
  return { prospects: { ...prospects, ending: found === null ? null : { ...found, warnedDays: null } }, events: calledOff };
}

function warn(prospects: KeyProspects, outlook: Outlook): Step {
  const { ending } = prospects;
  if (ending === null) return { prospects, events: [] };
  const leftMs = ending.at.getTime() - outlook.now.getTime();
  const due = WARNING_DAYS.filter((days) => leftMs <= days * DAY_MS && (ending.warnedDays === null || days < ending.warnedDays)).at(-1);
  // A date that has passed is for the checks to find out.
  if (due === undefined || leftMs <= 0) return { prospects, events: [] };
  const event: ProspectEvent = { kind: 'end-approaching', ending: toKeyEnding(ending, due, outlook) };
  return { prospects: { ...prospects, ending: { ...ending, warnedDays: due } }, events: [event] };
}

const toKeyEnding = ({ kind, at }: KnownEnding, daysLeft: number, { keepKey }: Outlook): KeyEnding => ({
  kind,
  at: at.toISOString(),
  daysLeft,
  ...keepKey(kind),
});
