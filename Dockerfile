# The runtime image (the last stage, so the default):
#   docker build -t pyerlnode .                       docker run --rm pyerlnode demo
# Erlang, Elixir and the test suite, for machines without a BEAM:
#   docker build --target beam -t pyerlnode-beam .    docker run --rm pyerlnode-beam
# OTP by Debian's suite: bookworm 25, trixie 27, sid 29 (--build-arg SUITE=bookworm).
# Whatever comes from the network stands before the sources, so that a change of them builds in seconds.
ARG SUITE=trixie

# --- what every stage stands on: Python
FROM debian:${SUITE}-slim AS base
ENV LC_ALL=C.UTF-8
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*

# --- compiler: what builds the codec
FROM base AS compiler
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
ENV PYERLNODE_REQUIRE_C=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src

# --- build: the package with its compiled codec, in an environment that is copied whole
FROM compiler AS build
RUN python3 -m venv /opt/pyerlnode
COPY . .
RUN /opt/pyerlnode/bin/pip install --quiet . \
    && /opt/pyerlnode/bin/pip uninstall --quiet --yes pip \
    && find /opt/pyerlnode -type d -name tests -prune -exec rm -rf {} + \
    && find /opt/pyerlnode -name '*.c' -delete

# --- runtime
FROM base AS runtime
RUN useradd --create-home --shell /usr/sbin/nologin pyerlnode
COPY --from=build /opt/pyerlnode /opt/pyerlnode
ENV PATH=/opt/pyerlnode/bin:$PATH PYTHONUNBUFFERED=1
USER pyerlnode
WORKDIR /home/pyerlnode
ENTRYPOINT ["pyerlnode"]
CMD ["--help"]

# --- erlang: Erlang and Elixir, for nodes of a cluster (compose.yaml) and as the BEAM of tests
FROM compiler AS erlang
RUN apt-get update \
    && apt-get install -y --no-install-recommends elixir erlang-nox iproute2 make nftables openssl procps \
    && rm -rf /var/lib/apt/lists/*

# --- beam: those and a checkout that is ready to run its tests
FROM erlang AS beam
COPY Makefile pyproject.toml ./
COPY .ci .ci
RUN make .venv/.made && .venv/bin/pip install --quiet --group test cython gevent
COPY . .
RUN make .venv/.test
ENTRYPOINT ["sh", ".ci/test", ".venv/bin/python"]
CMD ["tests", "interop_tests"]

# --- what is built when no target is named
FROM runtime
