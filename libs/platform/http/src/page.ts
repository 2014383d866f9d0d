import { z } from 'zod';

/** A whole number in a query, in decimal digits. */
export function queryInteger(bounds: { readonly min: number; readonly max: number }): z.ZodType<number, string> {
  return z
    .string()
    .regex(/^(0|-?[1-9]\d{0,15})$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(bounds.min, `must be at least ${bounds.min}`).max(bounds.max, `must be at most ${bounds.max}`));
}

/** `true` or `false` in a query. */
export function queryFlag(): z.ZodType<boolean, string> {
  return z.enum(['true', 'false']).transform((value) => value === 'true');
}

/** The query parameters of every list, to be spread into a list's own schema. */
export const pageQuery = {
  /** The first page is 1. */
  pageNum: queryInteger({ min: 1, max: 1_000_000 }).default(1),
  itemsPerPage: queryInteger({ min: 1, max: 500 }).default(100),
  includeCount: queryFlag().default(true),
} as const;

/** The query of a list that has no parameters of its own. */
export const PageQuerySchema = z.object(pageQuery);
export type PageRequest = z.infer<typeof PageQuerySchema>;

/** How many rows to skip and to take. */
export function rowsOf(request: PageRequest): { readonly offset: number; readonly limit: number } {
  return { offset: (request.pageNum - 1) * request.itemsPerPage, limit: request.itemsPerPage };
}

export interface Link {
  readonly rel: string;
  readonly href: string;
}

/** One page of a list. The answer adds the links, which only the request knows. */
export class Page<T> {
  constructor(
    readonly results: readonly T[],
    readonly total: number,
    readonly request: PageRequest,
  ) {}

  /** The list envelope; `url` is the request's own, without the query parameters of pages. */
  envelope(url: URL): { links: Link[]; results: readonly T[]; totalCount?: number } {
    const { pageNum, itemsPerPage, includeCount } = this.request;
    const link = (rel: string, number: number): Link => {
      const target = new URL(url);
      const own = [...target.searchParams].filter(([name]) => !(name in pageQuery));
      target.search = new URLSearchParams([
        ['includeCount', String(includeCount)],
        ['pageNum', String(number)],
        ['itemsPerPage', String(itemsPerPage)],
        ...own,
      ]).toString();
      return { rel, href: target.href };
    };
    const links = [link('self', pageNum)];
    if (pageNum > 1) links.push(link('previous', pageNum - 1));
    if (pageNum * itemsPerPage < this.total) links.push(link('next', pageNum + 1));
    return { links, results: this.results, ...(includeCount && { totalCount: this.total }) };
  }
}

/** The answer of a list route: the items of the asked page and how many there are in all. */
export function page<T>(items: readonly T[], total: number, request: PageRequest): Page<T> {
  return new Page(items, total, request);
}

/** The asked page of a list that is held in memory. */
export function pageOf<T>(all: readonly T[], request: PageRequest): Page<T> {
  const { offset, limit } = rowsOf(request);
  return new Page(all.slice(offset, offset + limit), all.length, request);
}
