/** People paste commands into a shell: what a tenant or provider named may not become a command of its own. */
export function shellWord(text: string): string {
  return /^[\w:/.@-]+$/.test(text) && !text.startsWith('-') ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** A command line of a tool with its options, in their order; an option without a value is left out. */
export function commandLine(words: string, options: Readonly<Record<string, string | null | undefined>>): string {
  const given = Object.entries(options).flatMap(([name, value]) =>
    value === null || value === undefined ? [] : [`--${name} ${shellWord(value)}`],
  );
  return [words, ...given].join(' ');
}
