import { fileURLToPath } from 'node:url';

/** Paths of the stand-ins, each a single executable file as `MONGOD_BIN` and `MONGOS_BIN` name one. They run the built package. */
export interface SimExecutables {
  mongod: string;
  mongos: string;
}

export function simExecutables(): SimExecutables {
  const path = (name: string): string => fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));
  return { mongod: path('mongod-sim'), mongos: path('mongos-sim') };
}
