export { ACCESS_METADATA, type Access } from './access.js';
export { answer, type Answer } from './answer.js';
export {
  accessForbidden,
  ApiError,
  BodyError,
  clusterNotFound,
  groupNotFound,
  invalidAttribute,
  missingAttribute,
  unauthorized,
  type ApiErrorBody,
  type ApiErrorField,
} from './api-error.js';
export { AtlasRoute, ROUTE_METADATA, routeOf, type HttpMethod, type RouteMetadata, type RouteOptions } from './atlas-route.js';
export { atlasTime } from './atlas-time.js';
export { collectRoutes, type CollectedRoute, type RouteSource } from './collect-routes.js';
export { createHttpApp, type HttpApp, type HttpAppOptions } from './http-app.js';
export {
  page,
  pageOf,
  pageQuery,
  PageQuerySchema,
  queryFlag,
  queryInteger,
  rowsOf,
  type Link,
  type Page,
  type PageRequest,
} from './page.js';
export { BaseUrl, PathParam, RequestSignal, RouteError, ValidBody, ValidQuery, Version } from './parameters.js';
export { ClientGone, ServiceStopping } from './request-state.js';
export { parametersOf, toOpenApiPath } from './route-path.js';
export { invalidQueryParameter, parseBody, parseQuery } from './validation.js';
export { API_PREFIX, negotiateVersion, newestNotLater } from './version.js';
