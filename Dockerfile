# syntax=docker/dockerfile:1
# One image for JupyterLab and for batch runs. It uses the host's NVIDIA GPUs if the container is
# started with them (NVIDIA container toolkit, --gpus all), and the processor otherwise: CUDA and cuDNN
# come as Python packages, so a plain Python base is enough.
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE}

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    HOME=/home/dermaface \
    KERAS_HOME=/home/dermaface/.keras \
    TFHUB_CACHE_DIR=/home/dermaface/.tfhub

# Any user (--user) may write to the home folder, so files in outputs/ can belong to whoever runs it.
RUN useradd --uid 1000 --create-home --home-dir /home/dermaface dermaface \
    && chmod 0777 /home/dermaface

WORKDIR /opt/dermaface

# The packages change rarely and are large (CUDA alone takes several gigabytes), so they come before the
# project's own files and stay cached. Every one is in the lock; nothing is resolved here.
COPY requirements-gpu.txt ./
RUN pip install --no-deps --requirement requirements-gpu.txt

COPY pyproject.toml setup.py README.md LICENSE ./
COPY dermaface ./dermaface
RUN pip install --no-deps --no-build-isolation --editable . \
    && pip check
COPY notebooks ./notebooks

# JupyterLab saves the notebooks, and runs write here when no folder of the host is mounted. The last
# line is the image's own test: the command starts, and both runtimes load.
RUN mkdir outputs \
    && chmod -R a+rwX notebooks outputs \
    && dermaface --help \
    && python -c "from dermaface import Classifier; from dermaface.training import devices; print(devices.describe())"

USER 1000
EXPOSE 8888
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8888/api', timeout=4)"]

# JupyterLab prints its address with a new token at every start; `dermaface run ...` replaces it.
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser", "--notebook-dir=/opt/dermaface"]
