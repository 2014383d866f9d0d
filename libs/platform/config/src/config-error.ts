/** One setting that cannot be used. */
export interface ConfigProblem {
  /** The environment variable, or the file and the path inside it. */
  readonly variable: string;
  /** What the setting has to be and what to do about it; never what it was. */
  readonly rule: string;
}

/** The configuration cannot be used. All problems are named at once, so that nobody has to start a program five times. No value is ever repeated. */
export class ConfigError extends Error {
  readonly code = 'CONFIG_INVALID';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(['The configuration cannot be used:', ...problems.map(({ variable, rule }) => `  ${variable} ${rule}`)].join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}
