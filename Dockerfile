# syntax=docker/dockerfile:1
# One image for JupyterLab and for batch runs. It uses the host's NVIDIA GPU where the container is
# started with one (NVIDIA container toolkit, --gpus all), and the processor otherwise: CUDA and cuDNN
# come as Python packages, so a plain Python base is enough.
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE}

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HOME=/home/dermaface \
    KERAS_HOME=/home/dermaface/.keras

# Whoever runs the container (--user) may write the home folder, so files in outputs/ belong to them.
RUN useradd --uid 1000 --create-home --home-dir /home/dermaface dermaface \
    && chmod 0777 /home/dermaface

WORKDIR /opt/dermaface

# The packages change rarely and are large: they come before the project's own files. The second line
# adds the CUDA libraries to the very TensorFlow that the lock names.
COPY requirements.txt ./
RUN pip install --no-deps -r requirements.txt \
    && pip install "tensorflow[and-cuda]==$(sed -n 's/^tensorflow==//p' requirements.txt)" \
        --constraint requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY dermaface ./dermaface
RUN pip install --no-deps --no-build-isolation --editable .
COPY notebooks ./notebooks
# JupyterLab saves the notebooks, and runs write here when no folder of the host is mounted.
RUN mkdir -p outputs && chmod -R a+rwX notebooks outputs

USER dermaface
EXPOSE 8888
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8888/api', timeout=4)"]

# JupyterLab prints its address with a new token at every start; `dermaface run ...` replaces it.
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser", "--notebook-dir=/opt/dermaface"]
