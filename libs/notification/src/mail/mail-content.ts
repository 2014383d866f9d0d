/** What a mail says, without saying how it looks. Texts are plain and may hold anything: whoever renders them escapes them. */
export type Block =
  | { readonly kind: 'paragraph'; readonly text: string }
  | { readonly kind: 'heading'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly string[] }
  | { readonly kind: 'facts'; readonly facts: readonly (readonly [label: string, value: string])[] }
  /** Shown as it is, for copying. */
  | { readonly kind: 'command'; readonly text: string }
  /** `url` comes from our own configuration, never from a tenant. */
  | { readonly kind: 'link'; readonly label: string; readonly url: string };

export interface MailContent {
  readonly subject: string;
  readonly blocks: readonly Block[];
}

export const paragraph = (text: string): Block => ({ kind: 'paragraph', text });
export const heading = (text: string): Block => ({ kind: 'heading', text });
export const list = (items: readonly string[]): Block => ({ kind: 'list', items });
export const command = (text: string): Block => ({ kind: 'command', text });
export const facts = (entries: readonly (readonly [string, string | null])[]): Block => ({
  kind: 'facts',
  facts: entries.filter((entry): entry is readonly [string, string] => entry[1] !== null && entry[1] !== ''),
});
