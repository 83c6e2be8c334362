# The runtime image (the last stage, so the default):
#   docker build -t pyerlnode .                       docker run --rm pyerlnode demo
# Erlang, Elixir and the test suite, for machines without a BEAM:
#   docker build --target beam -t pyerlnode-beam .    docker run --rm pyerlnode-beam
# OTP by Debian's suite: bookworm 25, trixie 27, sid 29 (--build-arg SUITE=bookworm).
ARG SUITE=trixie

# --- what every stage stands on: Python
FROM debian:${SUITE}-slim AS base
ENV LC_ALL=C.UTF-8
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*

# --- build: the package with its compiled codec, in an environment that is copied whole
FROM base AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
ENV PYERLNODE_REQUIRE_C=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/pyerlnode
WORKDIR /src
COPY . .
RUN /opt/pyerlnode/bin/pip install --quiet . \
    && /opt/pyerlnode/bin/pip uninstall --quiet --yes pip \
    && find /opt/pyerlnode -type d -name tests -prune -exec rm -rf {} + \
    && find /opt/pyerlnode -name '*.c' -delete

# --- beam: Erlang, Elixir and a checkout that is ready to run its tests
FROM build AS beam
RUN apt-get update \
    && apt-get install -y --no-install-recommends elixir erlang-nox make procps \
    && rm -rf /var/lib/apt/lists/*
RUN make .venv/.test
ENTRYPOINT ["sh", ".ci/test", ".venv/bin/python"]
CMD ["tests", "interop_tests"]

# --- runtime
FROM base AS runtime
RUN useradd --create-home --shell /usr/sbin/nologin pyerlnode
COPY --from=build /opt/pyerlnode /opt/pyerlnode
ENV PATH=/opt/pyerlnode/bin:$PATH PYTHONUNBUFFERED=1
USER pyerlnode
WORKDIR /home/pyerlnode
ENTRYPOINT ["pyerlnode"]
CMD ["--help"]
