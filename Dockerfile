# Manyfill's server. Build: docker build -t manyfill .    Run and more: docs/serving.md
FROM python:3.12-slim

# The CPU build of torch, a tenth of the size of the usual one. For GPUs: --build-arg TORCH_INDEX=
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
WORKDIR /src
RUN python -m venv /opt/manyfill
ENV PATH=/opt/manyfill/bin:$PATH
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch

COPY pyproject.toml README.md LICENSE ./
COPY manyfill manyfill
RUN pip install '.[serve]' && rm -rf /src/*

RUN useradd --system --no-create-home --shell /usr/sbin/nologin manyfill
USER manyfill
WORKDIR /
EXPOSE 8765
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8765/healthz', timeout=4)"]
ENTRYPOINT ["manyfill", "serve", "--host", "0.0.0.0"]
