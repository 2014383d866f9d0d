/** For the `default` of a switch over a closed set: a new member of the set fails to compile there. */
export function unhandled(value: never): never {
  throw new TypeError(`unhandled: ${JSON.stringify(value)}`);
}
