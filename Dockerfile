# syntax=docker/dockerfile:1
# Replace the tag by a digest (python:3.11-slim-bookworm@sha256:...) to pin the base for good.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE} AS build
# cpu: torch's CPU build from a wheel in ./wheels or an index of yours (PIP_EXTRA_INDEX_URL); cuda: the
# registry's build with its CUDA libraries.
ARG TORCH=cuda
WORKDIR /src
COPY requirements.lock requirements-cuda.lock ./
RUN python -m venv /opt/hotslot \
 && if [ "$TORCH" = cpu ]; then lock=requirements.lock; else lock=requirements-cuda.lock; fi \
 && /opt/hotslot/bin/pip install --no-cache-dir --require-hashes -r "$lock"
COPY pyproject.toml README.md ./
COPY app app
COPY models models
COPY migrations migrations
RUN /opt/hotslot/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM ${BASE}
RUN useradd --uid 10001 --create-home --home-dir /var/lib/hotslot hotslot
COPY --from=build /opt/hotslot /opt/hotslot
ENV PATH=/opt/hotslot/bin:$PATH HOTSLOT_HOME=/var/lib/hotslot PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["hotslot", "serve", "--host", "0.0.0.0", "--workers", "0"]
