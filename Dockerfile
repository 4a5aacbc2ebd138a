# The image of the operator: one stage installs it into /opt/venv, the other carries that folder and nothing else.
#
# Everything is pinned: the base by digest (a release may name a newer one with --build-arg BASE=...), what is installed by the
# hashes of the lock files, and only wheels are taken, so that nothing foreign is executed or compiled. The tests play the
# instructions of the first stage in a folder of their own (tests/image/playing.py), so what they prove is what is built here.

ARG BASE=python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${BASE} AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /src

# What changes seldom comes first: this layer lasts until a lock file changes. Bytecode is written here, never to be compared
# with its source: the container's file system is read-only, and copying changes times.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/venv \
    && python -m venv --without-pip /opt/build \
    && python -m pip --python /opt/venv/bin/python install --quiet --no-compile --require-hashes --requirement requirements.lock \
    && python -m pip --python /opt/build/bin/python install --quiet --no-compile --require-hashes --requirement requirements-build.lock \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

COPY pyproject.toml README.md LICENSE ./
COPY operator operator
ARG VERSION=0.1.0
RUN /opt/build/bin/python -m hatchling build --target wheel --directory /src/dist \
    && python -m pip --python /opt/venv/bin/python install --quiet --no-compile --no-deps --no-index /src/dist/*.whl \
    && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib/python*/site-packages/peerdb_operator
RUN told=$(/opt/venv/bin/peerdb-operator --version) \
    && if [ "$told" != "peerdb-operator ${VERSION}" ]; then echo "VERSION is ${VERSION}, but this is $told" >&2; exit 1; fi

FROM ${BASE}

# Revision, creation time and source are added by whoever builds, and the digest of another base: see `make image`.
ARG BASE
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="PeerDB operator" \
      org.opencontainers.image.description="Keeps PeerDB mirrors as their Mirror objects in Kubernetes say." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b"

COPY --from=build /opt/venv /opt/venv

ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# By number, because Kubernetes cannot see from a name that it is not root.
USER 65532:65532

# Probes, metrics.
EXPOSE 8080 9090

ENTRYPOINT ["/opt/venv/bin/peerdb-operator"]
CMD ["run"]
