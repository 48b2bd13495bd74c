# Images that look like FreeSurfer's and FastSurfer's, to build and run the targets with:
#
#   buildah bud --target nicarbon -t nicarbon .
#   buildah bud -f tests/stand_ins.Dockerfile --target freesurfer -t freesurfer tests
#   buildah bud -f tests/stand_ins.Dockerfile --target fastsurfer -t fastsurfer tests
#   buildah bud --target nicarbon-freesurfer --build-arg FREESURFER=freesurfer -t with-freesurfer .
#   buildah bud --target nicarbon-fastsurfer --build-arg FASTSURFER=fastsurfer -t with-fastsurfer .

FROM localhost/nicarbon AS python
USER root
# Programs of stand-ins import each other by path, so they live where the program does.
ENV PYTHONPATH=/usr/local/freesurfer/stand_in:/fastsurfer/stand_in

FROM python AS freesurfer
COPY freesurfer_stand_in.py /usr/local/freesurfer/stand_in/
COPY freesurfer_stand_in /usr/local/freesurfer/stand_in/freesurfer_stand_in
RUN /opt/nicarbon/bin/python -c 'from pathlib import Path; import freesurfer_stand_in as fs; \
    fs.install(Path("/usr/local/freesurfer"))'

FROM python AS fastsurfer
COPY fastsurfer_stand_in.py freesurfer_stand_in.py /fastsurfer/stand_in/
COPY fastsurfer_stand_in /fastsurfer/stand_in/fastsurfer_stand_in
COPY freesurfer_stand_in /fastsurfer/stand_in/freesurfer_stand_in
COPY gpu_machine /fastsurfer/stand_in/gpu_machine
RUN /opt/nicarbon/bin/python -c 'from pathlib import Path; \
    import fastsurfer_stand_in as fast, freesurfer_stand_in as fs; \
    fs.install(Path("/opt/freesurfer")); fast.install(Path("/fastsurfer"))' \
 && mkdir -p /venv/bin && ln -s /usr/bin/python3 /venv/bin/python3
