# The image of openmodel_cache's Cloud Run job: the binary `openmodel`, and nothing else.
#
#   docker build -t REGION-docker.pkg.dev/PROJECT/REPOSITORY/openmodel .
#   docker push REGION-docker.pkg.dev/PROJECT/REPOSITORY/openmodel
#
# Then: transfer = { engine = "cloud_run_job", image = "REGION-docker.pkg.dev/PROJECT/REPOSITORY/openmodel" }

FROM rust:1-slim-bookworm AS build
# A C compiler and make for `ring`; nothing of it reaches the image.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin openmodel

# glibc, libgcc and the certificates of public authorities; no shell; user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/openmodel /usr/local/bin/openmodel
USER nonroot
ENTRYPOINT ["/usr/local/bin/openmodel"]
