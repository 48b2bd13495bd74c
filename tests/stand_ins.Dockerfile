# Images that look like FreeSurfer's and FastSurfer's, to build and run the targets with: each has
# a licence inside, which must not be in the target. tests/test_image.py builds them.

ARG BASE=docker.io/library/debian:bookworm-slim
FROM localhost/nicarbon AS python
USER root
# Programs of stand-ins import each other by path, so they live where the program does.
ENV PYTHONPATH=/usr/local/freesurfer/stand_in:/fastsurfer/stand_in

FROM python AS freesurfer-made
COPY freesurfer_stand_in.py /usr/local/freesurfer/stand_in/
COPY freesurfer_stand_in /usr/local/freesurfer/stand_in/freesurfer_stand_in
RUN /opt/nicarbon/bin/python -c 'from pathlib import Path; import freesurfer_stand_in as fs; \
    fs.install(Path("/usr/local/freesurfer"))'

FROM ${BASE} AS freesurfer
COPY --from=freesurfer-made /usr/local/freesurfer /usr/local/freesurfer

FROM python AS fastsurfer-made
COPY fastsurfer_stand_in.py freesurfer_stand_in.py /fastsurfer/stand_in/
COPY fastsurfer_stand_in /fastsurfer/stand_in/fastsurfer_stand_in
COPY freesurfer_stand_in /fastsurfer/stand_in/freesurfer_stand_in
COPY gpu_machine /fastsurfer/stand_in/gpu_machine
RUN /opt/nicarbon/bin/python -c 'from pathlib import Path; \
    import fastsurfer_stand_in as fast, freesurfer_stand_in as fs; \
    fs.install(Path("/opt/freesurfer")); fast.install(Path("/fastsurfer"))' \
 && mkdir -p /venv/bin && ln -s /usr/bin/python3 /venv/bin/python3

FROM ${BASE} AS fastsurfer
COPY --from=fastsurfer-made /opt/freesurfer /opt/freesurfer
COPY --from=fastsurfer-made /venv /venv
COPY --from=fastsurfer-made /fastsurfer /fastsurfer
