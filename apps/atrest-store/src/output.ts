/** Where commands write: results, and problems that do not end them. */
export interface Output {
  readonly line: (text: string) => void;
  readonly problem: (error: unknown) => void;
}
