import { type DynamicModule, type ForwardReference, type Provider, type Type } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { routeOf, type RouteMetadata } from './atlas-route.js';
import { readBody, readQuery, RouteError } from './parameters.js';
import { parametersOf } from './route-path.js';
import { isVersionDate } from './version.js';

/** A route and the method that serves it. */
export interface CollectedRoute extends RouteMetadata {
  readonly controller: string;
  readonly handler: string;
}

export type RouteSource = DynamicModule | Type<unknown>;

// The names under which Nest keeps what its decorators say.
const NEST = {
  controllers: 'controllers',
  imports: 'imports',
  providers: 'providers',
  path: 'path',
  controller: '__controller__',
  args: '__routeArguments__',
};

/**
 * Every route of modules (with all they import) and of single controllers, in a stable order. For the generated reference and the check at
 * start.
 *
 * @throws RouteError when a controller has a route that `AtlasRoute` did not make, or one that contradicts itself
 */
export function collectRoutes(sources: readonly RouteSource[]): CollectedRoute[] {
  const controllers = new Set<Type<unknown>>();
  walk(sources, (module) => {
    for (const controller of module.controllers) controllers.add(controller);
  });
  for (const source of sources) {
    if (typeof source === 'function' && Reflect.hasMetadata(NEST.controller, source)) controllers.add(source);
  }
  const routes = [...controllers].flatMap(routesOf);
  const seen = new Map<string, CollectedRoute>();
  for (const route of routes) {
    check(route);
    const key = `${route.method} ${route.fullPath.replaceAll(/:[A-Za-z]\w*/g, ':')}`;
    const other = seen.get(key);
    if (other) throw new RouteError(`${nameOf(route)} and ${nameOf(other)} both serve ${route.method} ${route.fullPath}.`);
    seen.set(key, route);
  }
  return routes.sort((a, b) => compare(a.fullPath, b.fullPath) || compare(a.method, b.method));
}

/** Whether one of the modules brings a guard for all routes. */
export function hasGlobalGuard(sources: readonly RouteSource[]): boolean {
  let found = false;
  walk(sources, (module) => {
    found ||= module.providers.some((provider) => typeof provider === 'object' && provider.provide === APP_GUARD);
  });
  return found;
}

interface ModuleParts {
  readonly controllers: readonly Type<unknown>[];
  readonly providers: readonly Provider[];
}

function walk(sources: readonly unknown[], visit: (module: ModuleParts) => void, seen = new Set<unknown>()): void {
  for (const source of sources) {
    const given = isForwardReference(source) ? source.forwardRef() : source;
    if (given instanceof Promise) throw new RouteError('A module that is still a promise cannot be read. Await it first.');
    if (seen.has(given) || (typeof given !== 'function' && (typeof given !== 'object' || given === null))) continue;
    seen.add(given);
    const dynamic = typeof given === 'function' ? undefined : (given as DynamicModule);
    const type = dynamic ? dynamic.module : given;
    const own = <T>(key: string): T[] => (Reflect.getMetadata(key, type as object) as T[] | undefined) ?? [];
    visit({
      controllers: [...own<Type<unknown>>(NEST.controllers), ...(dynamic?.controllers ?? [])],
      providers: [...own<Provider>(NEST.providers), ...(dynamic?.providers ?? [])],
    });
    walk([...own<unknown>(NEST.imports), ...(dynamic?.imports ?? [])], visit, seen);
  }
}

function isForwardReference(source: unknown): source is ForwardReference {
  return typeof source === 'object' && source !== null && 'forwardRef' in source;
}

function routesOf(controller: Type<unknown>): CollectedRoute[] {
  const prefix: unknown = Reflect.getMetadata(NEST.path, controller);
  if (prefix !== undefined && prefix !== '/' && prefix !== '') {
    throw new RouteError(`Controller ${controller.name} has a path of its own. Write the whole path into each AtlasRoute.`);
  }
  return handlersOf(controller).flatMap(([name, handler]) => {
    const route = routeOf(handler);
    if (route) {
      checkArguments(controller, name, route);
      return [{ ...route, controller: controller.name, handler: name }];
    }
    if (Reflect.hasMetadata(NEST.path, handler)) {
      throw new RouteError(`${controller.name}.${name} is a route without access. Declare it with AtlasRoute, which says who may call it.`);
    }
    return [];
  });
}

function handlersOf(controller: Type<unknown>): [string, object][] {
  const found = new Map<string, object>();
  for (
    let level = controller.prototype as object | null;
    level && level !== Object.prototype;
    level = Object.getPrototypeOf(level) as object | null
  ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      if (typeof value === 'function' && name !== 'constructor' && !found.has(name)) found.set(name, value);
    }
  }
  return [...found];
}

function checkArguments(controller: Type<unknown>, name: string, route: RouteMetadata): void {
  const args = (Reflect.getMetadata(NEST.args, controller, name) ?? {}) as Record<string, { factory?: unknown }>;
  for (const { factory } of Object.values(args)) {
    const missing = factory === readBody && !route.body ? 'body' : factory === readQuery && !route.query ? 'query' : undefined;
    if (missing) throw new RouteError(`${controller.name}.${name} reads the ${missing}, but its route has no ${missing} schema.`);
  }
}

function check(route: CollectedRoute): void {
  const fail = (rule: string): never => {
    throw new RouteError(`${nameOf(route)} (${route.method} ${route.fullPath}) ${rule}.`);
  };
  const access: unknown = route.access;
  if (access === undefined || access === null) fail('is a route without access. Say who may call it');
  if (typeof route.access === 'object') {
    const roles = 'project' in route.access ? route.access.project : route.access.org;
    if (roles.length === 0) fail('lets nobody in: its access names no role');
    if ('project' in route.access && !parametersOf(route.fullPath).includes('groupId'))
      fail('asks for a role in a project, but its path has no :groupId');
  }
  if (route.versions && (route.versions.length === 0 || !route.versions.every(isVersionDate)))
    fail('needs versions that are dates, such as 2023-01-01');
}

const nameOf = (route: CollectedRoute): string => `${route.controller}.${route.handler}`;
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
