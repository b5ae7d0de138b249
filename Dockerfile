# syntax=docker/dockerfile:1

# The packages that run, without the tools that test. No script of a package runs.
FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="Chorale" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /app/node_modules /app/node_modules
COPY package.json LICENSE /app/
COPY src /app/src

# The working directory: a chorale.yaml here is taken, and the store is data/chorale.db. Without a file the gateway offers what it finds in
# the environment, or its demo.
WORKDIR /chorale
RUN mkdir data && chown node:node data
VOLUME /chorale/data

# The container's loopback is nobody's: without this a gateway without keys could not be reached from outside the container. Publish it to
# your own machine alone (-p 127.0.0.1:8080:8080) while it has no keys. Both win over the config file, so the health check knows the port.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
EXPOSE 8080
USER node
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health`).then((reply) => process.exit(reply.ok ? 0 : 1), () => process.exit(1))"]

# The flags of `npm start`, without npm: node is process 1 and hears the signal.
ENTRYPOINT ["node", "--min-semi-space-size=16", "--max-semi-space-size=32", "--no-allocation-site-pretenuring", "--heap-growing-percent=300", "--no-parallel-scavenge", "--use-largepages=silent", "/app/src/main.ts"]
