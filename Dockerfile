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
ARG FREESURFER_AT=/usr/local/freesurfer
ARG FASTSURFER=docker.io/deepmi/fastsurfer:cpu-v2.6.0

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
# A mirror or a proxy is told by  --secret id=pip.conf,src=/etc/pip.conf , and a certificate of
# its own by  --secret id=pip.pem,src=…  (which pip.conf then names: /run/secrets/pip.pem).
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=pip.pem \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/nicarbon \
 && /opt/nicarbon/bin/pip install -q --no-compile --no-deps -r /source/requirements.txt
COPY LICENSE README.md setup.cfg pyproject.toml /source/
COPY nicarbon /source/nicarbon
# Tests of others are 80 MB. Bytecode is made here, once, the same in every build: where the
# image cannot be written to, Python would make it anew at every start.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=pip.pem \
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

# ---- What recon-all calls, and Debian's smallest system lacks -----------------------------
FROM app AS surfer
USER root
RUN apt-get update -qq \
 && apt-get install -qq -y --no-install-recommends \
    bc gawk libgomp1 libquadmath0 perl tcsh time >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/* \
    /var/cache/debconf/*-old /var/lib/dpkg/*-old

# ---- With FreeSurfer ---------------------------------------------------------------------
FROM ${FREESURFER} AS freesurfer
ARG FREESURFER_AT
USER root
RUN rm -f ${FREESURFER_AT}/license.txt ${FREESURFER_AT}/.license

FROM surfer AS nicarbon-freesurfer
ARG FREESURFER_AT
COPY --from=freesurfer ${FREESURFER_AT} /usr/local/freesurfer
# As SetUpFreeSurfer.sh sets them.
ENV OS=Linux FS_OVERRIDE=0 FIX_VERTEX_AREA="" FSF_OUTPUT_FORMAT=nii.gz \
    FREESURFER_HOME=/usr/local/freesurfer SUBJECTS_DIR=/usr/local/freesurfer/subjects \
    FSFAST_HOME=/usr/local/freesurfer/fsfast LOCAL_DIR=/usr/local/freesurfer/local \
    MNI_DIR=/usr/local/freesurfer/mni MNI_DATAPATH=/usr/local/freesurfer/mni/data \
    MINC_BIN_DIR=/usr/local/freesurfer/mni/bin MINC_LIB_DIR=/usr/local/freesurfer/mni/lib \
    MNI_PERL5LIB=/usr/local/freesurfer/mni/share/perl5 \
    PERL5LIB=/usr/local/freesurfer/mni/share/perl5 \
    PATH=/usr/local/freesurfer/bin:/usr/local/freesurfer/mni/bin:${PATH}
USER 1000:1000
LABEL org.opencontainers.image.title="nicarbon with FreeSurfer" \
      org.opencontainers.image.licenses="Apache-2.0 AND LicenseRef-FreeSurfer"

# ---- With FastSurfer, and the parts of FreeSurfer that it needs -----------------------------
FROM ${FASTSURFER} AS fastsurfer
USER root
# Its Python is below /opt in newer images, and in /venv alone in older ones.
RUN rm -f /opt/freesurfer/license.txt /opt/freesurfer/.license

FROM surfer AS nicarbon-fastsurfer
COPY --from=fastsurfer /opt /opt
COPY --from=fastsurfer /venv /venv
COPY --from=fastsurfer /fastsurfer /fastsurfer
# NVIDIA's runtime shows the GPU, and the counter of its energy, where it is told to.
ENV OS=Linux FS_OVERRIDE=0 FIX_VERTEX_AREA="" FSF_OUTPUT_FORMAT=nii.gz \
    FREESURFER_HOME=/opt/freesurfer SUBJECTS_DIR=/opt/freesurfer/subjects \
    FASTSURFER_HOME=/fastsurfer NICARBON_FASTSURFER_PYTHON=/venv/bin/python3 \
    MPLCONFIGDIR=/tmp/matplotlib NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PATH=/venv/bin:/opt/freesurfer/bin:${PATH}
USER 1000:1000
LABEL org.opencontainers.image.title="nicarbon with FastSurfer" \
      org.opencontainers.image.licenses="Apache-2.0 AND LicenseRef-FreeSurfer"

# ---- The default -------------------------------------------------------------------------
FROM app AS nicarbon
