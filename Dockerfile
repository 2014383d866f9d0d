# syntax=docker/dockerfile:1.20
# One target per app: docker build --target fleet -t atrest-fleet .
# Every image: no build tools, no shell where none is needed, a numeric user without rights, nothing written outside of /tmp and volumes
# (run it with --read-only --tmpfs /tmp).

ARG NODE_IMAGE=node:24-bookworm-slim
# Any image with mongod (and mongos) in its PATH, for the agent.
ARG SERVER_IMAGE=mongo:8.0

FROM ${NODE_IMAGE} AS node

# --- Everything is compiled once -------------------------------------------------------------------------------------------------------
FROM node AS build
WORKDIR /src
# The manifests first: as long as they stay the same, so does the layer with the dependencies.
COPY --parents package.json package-lock.json libs/*/package.json libs/platform/*/package.json apps/*/package.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY . .
RUN npm run build && mkdir -p /empty

# --- What each app needs, and nothing else -----------------------------------------------------------------------------------------------
FROM build AS fleet-files
RUN node tools/docker/assemble.mjs fleet /app --without embedded-postgres
FROM build AS kms-validation-files
RUN node tools/docker/assemble.mjs kms-validation /app --without embedded-postgres
FROM build AS notification-files
RUN node tools/docker/assemble.mjs notification /app --without embedded-postgres
FROM build AS restore-execution-files
RUN node tools/docker/assemble.mjs restore-execution /app --without embedded-postgres
FROM build AS snapshot-catalog-files
RUN node tools/docker/assemble.mjs snapshot-catalog /app --without embedded-postgres
FROM build AS ingress-files
RUN node tools/docker/assemble.mjs ingress /app
FROM build AS provision-files
RUN node tools/docker/assemble.mjs provision /app
FROM build AS agent-files
# It runs the server of its image and downloads none.
RUN node tools/docker/assemble.mjs agent /app --without mongodb-memory-server-core
FROM build AS standalone-files
RUN node tools/docker/assemble.mjs standalone /app --without aws-msk-iam-sasl-signer-js

# --- Without a shell: C library, certificates, Node ----------------------------------------------------------------------------------------
FROM gcr.io/distroless/cc-debian12 AS runtime
COPY --from=node /usr/local/bin/node /usr/local/bin/node
# Where secrets are mounted. A volume that is mounted for the first time takes over this owner.
COPY --from=build --chown=10001:10001 /empty /run/atrest
# Snapshots live longer than what they were taken from: a volume of their own.
COPY --from=build --chown=10001:10001 /empty /var/lib/atrest-snapshots
ENV NODE_ENV=production ATREST_HTTP_HOST=0.0.0.0
WORKDIR /app
USER 10001:10001

FROM runtime AS service
COPY docker/healthcheck.mjs /app/healthcheck.mjs
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/node", "/app/healthcheck.mjs"]
ENTRYPOINT ["/usr/local/bin/node"]

FROM service AS fleet
COPY --from=fleet-files /app /app
CMD ["apps/fleet/dist/main.js"]

FROM service AS kms-validation
COPY --from=kms-validation-files /app /app
CMD ["apps/kms-validation/dist/main.js"]

FROM service AS notification
COPY --from=notification-files /app /app
CMD ["apps/notification/dist/main.js"]

FROM service AS restore-execution
COPY --from=restore-execution-files /app /app
CMD ["apps/restore-execution/dist/main.js"]

FROM service AS snapshot-catalog
COPY --from=snapshot-catalog-files /app /app
CMD ["apps/snapshot-catalog/dist/main.js"]

FROM service AS ingress
COPY --from=ingress-files /app /app
CMD ["apps/ingress/dist/main.js"]

# A job: it ends, so there is nothing to check.
FROM runtime AS provision
COPY --from=provision-files /app /app
# One volume for each service, so that none can read another's.
COPY --from=build --chown=10001:10001 /empty /secrets/fleet
COPY --from=build --chown=10001:10001 /empty /secrets/kms-validation
COPY --from=build --chown=10001:10001 /empty /secrets/notification
COPY --from=build --chown=10001:10001 /empty /secrets/restore-execution
COPY --from=build --chown=10001:10001 /empty /secrets/snapshot-catalog
COPY --from=build --chown=10001:10001 /empty /secrets/agent
ENV ATREST_SECRETS_FOLDER=/secrets
ENTRYPOINT ["/usr/local/bin/node"]
CMD ["apps/provision/dist/main.js"]

# --- With a shell, which PostgreSQL's initdb and the stand-in for mongod need ---------------------------------------------------------------
FROM debian:bookworm-slim AS standalone
# initdb wants a name for the user that runs it.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin atrest
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=standalone-files /app /app
COPY --from=build --chown=10001:10001 /empty /var/lib/atrest
COPY docker/healthcheck.mjs /app/healthcheck.mjs
ENV NODE_ENV=production ATREST_HTTP_HOST=0.0.0.0 ATREST_DATA_DIR=/var/lib/atrest HOME=/tmp
WORKDIR /app
USER 10001:10001
VOLUME /var/lib/atrest
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s CMD ["/usr/local/bin/node", "/app/healthcheck.mjs"]
ENTRYPOINT ["/usr/local/bin/node"]
CMD ["apps/standalone/dist/main.js"]

# The development KMS and the mail catcher, for docker-compose.yml. Not for production: they protect nothing.
FROM standalone AS development
# What answers differs; docker-compose.yml says where.
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/node", "apps/standalone/dist/development/main.js"]
CMD ["--help"]

# --- Beside mongod: the agent is the container's first process and stops mongod before it ends ----------------------------------------------
FROM ${SERVER_IMAGE} AS agent
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=agent-files /app /app
COPY --from=build --chown=10001:10001 /empty /var/lib/atrest
COPY --from=build --chown=10001:10001 /empty /run/atrest
COPY docker/agent-healthcheck.mjs /app/healthcheck.mjs
ENV NODE_ENV=production HOME=/tmp
WORKDIR /app
USER 10001:10001
VOLUME ["/var/lib/atrest", "/var/lib/atrest-snapshots"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/usr/local/bin/node", "/app/healthcheck.mjs"]
ENTRYPOINT ["/usr/local/bin/node", "apps/agent/dist/main.js"]
CMD ["--config", "/etc/atrest/agent.yaml"]
