# Build: compile with the toolchain. Run: production dependencies and the compiled product only.
FROM node:26-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build

FROM node:26-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 SHUNT_DATA_DIR=/var/lib/shunt
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The embedded Postgres and the pinned Node are for machines without containers.
RUN npm ci --omit=dev --omit=optional --ignore-scripts \
  && npm cache clean --force \
  && install -d -o node -g node -m 0700 /var/lib/shunt
COPY --from=build /app/dist ./dist
COPY scripts/verify-ledger ./scripts/verify-ledger
USER node
VOLUME /var/lib/shunt
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s CMD ["node", "-e", "fetch('http://127.0.0.1:8080/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node is process 1, so that SIGTERM reaches it and streams are drained.
CMD ["node", "--enable-source-maps", "dist/src/main.js"]
