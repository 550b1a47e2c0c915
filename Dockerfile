# syntax=docker/dockerfile:1
# docker build --tag sockeye:0.1.0 .
# docker run --publish 8080:8080 --stop-timeout 30 \
#   --volume ./configuration:/etc/sockeye:ro sockeye:0.1.0
# Mount the directory with sockeye.yaml, not the file alone: when an editor replaces a file that is
# mounted by itself, the container does not see the new one.
# A graceful shutdown takes up to 28 s, and Docker kills after 10 s by default.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /build
# Building jemalloc needs make.
RUN apt-get update && apt-get install --yes --no-install-recommends make
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin sockeye \
    && cp target/release/sockeye /usr/local/bin/sockeye

# The C library only: no shell, no package manager.
FROM gcr.io/distroless/cc-debian12
COPY --from=build /usr/local/bin/sockeye /usr/local/bin/sockeye
COPY configs/container.yaml /etc/sockeye/sockeye.yaml
# A number, because Kubernetes' runAsNonRoot cannot check a user name.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
# The health check needs `admin: { bind: 127.0.0.1:9090 }` in your own configuration.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["/usr/local/bin/sockeye", "status"]
ENTRYPOINT ["/usr/local/bin/sockeye"]
CMD ["run", "--config", "/etc/sockeye/sockeye.yaml"]
