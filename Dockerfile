# syntax=docker/dockerfile:1
# docker build --tag sockeye:0.1.0 .
# docker run --publish 8080:8080 --stop-timeout 30 \
#   --volume ./configuration:/etc/sockeye:ro sockeye:0.1.0
# The directory with sockeye.yaml and not the one file: of a file that an editor replaces, a container
# that has it mounted by itself sees nothing.
# The orderly end takes up to 28 s, and Docker kills after 10 s unless told otherwise.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /build
# jemalloc builds by make.
RUN apt-get update && apt-get install --yes --no-install-recommends make
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin sockeye \
    && cp target/release/sockeye /usr/local/bin/sockeye

# The C library and nothing to log in to: no shell, no package manager.
FROM gcr.io/distroless/cc-debian12
COPY --from=build /usr/local/bin/sockeye /usr/local/bin/sockeye
COPY configs/container.yaml /etc/sockeye/sockeye.yaml
# By number, since Kubernetes' runAsNonRoot cannot tell who a name is.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
# Your own configuration needs `admin: { bind: 127.0.0.1:9090 }` for this.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["/usr/local/bin/sockeye", "status"]
ENTRYPOINT ["/usr/local/bin/sockeye"]
CMD ["run", "--config", "/etc/sockeye/sockeye.yaml"]
