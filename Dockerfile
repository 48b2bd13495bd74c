# nicarbon as a BIDS App:  docker build -t nicarbon .
#
#   docker run --rm --user "$(id -u):$(id -g)" -v /my/bids:/data:ro -v /my/out:/out \
#     nicarbon /data /out participant
#
# Targets: nicarbon (the default), nicarbon-freesurfer, nicarbon-fastsurfer. How to build and run
# each, with Docker, Podman or Apptainer, is in docs/container.md.

ARG BASE=docker.io/library/debian:bookworm-slim
# Programs are taken out of these; licences never are.
ARG FREESURFER=docker.io/freesurfer/freesurfer:7.4.1
ARG FASTSURFER=docker.io/deepmi/fastsurfer:cpu-v2.4.2

# ---- Debian's Python -------------------------------------------------------------------
FROM ${BASE} AS python
RUN apt-get update -qq \
 && apt-get install -qq -y --no-install-recommends python3 >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/* \
    /var/cache/debconf/*-old /var/lib/dpkg/*-old

# ---- What is installed, in an environment of its own --------------------------------------
FROM python AS builder
RUN apt-get update -qq \
 && apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1
COPY bids_app/requirements.txt /source/
# Where a mirror or a proxy is between here and PyPI: --secret id=pip.conf,src=/etc/pip.conf
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/nicarbon \
 && /opt/nicarbon/bin/pip install -q --no-compile --no-deps -r /source/requirements.txt
COPY LICENSE README.md setup.cfg pyproject.toml /source/
COPY nicarbon /source/nicarbon
# Tests of others are 80 MB. Bytecode is made here, once, the same in every build: where the
# image cannot be written to, Python would make it anew at every start.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    /opt/nicarbon/bin/pip install -q --no-compile --no-deps /source \
 && /opt/nicarbon/bin/pip check \
 && /opt/nicarbon/bin/pip uninstall -q -y setuptools pip \
 && find /opt/nicarbon -depth -type d -name tests -exec rm -r {} + \
 && /opt/nicarbon/bin/python -m compileall -q -j0 --invalidation-mode unchecked-hash \
    /opt/nicarbon

# ---- The app, as every target has it ----------------------------------------------------
FROM python AS app
COPY --from=builder /opt/nicarbon /opt/nicarbon
# Its own Python stays off the PATH: FreeSurfer and FastSurfer bring theirs.
RUN ln -s /opt/nicarbon/bin/nicarbon /usr/local/bin/nicarbon
# Any user may run it, from a file system that nobody can write to but /tmp.
ENV HOME=/tmp LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1 NO_ET=1
WORKDIR /tmp
USER 1000:1000
ENTRYPOINT ["nicarbon"]
CMD ["--help"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="nicarbon" \
      org.opencontainers.image.description="What a neuroimaging pipeline costs the planet, stage by stage, truthfully" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.authors="The nicarbon developers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.bids.app="participant group"

FROM app AS nicarbon
