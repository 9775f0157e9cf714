# syntax=docker/dockerfile:1
# To pin the base image, pass its digest, which `docker buildx imagetools inspect python:3.11-slim-bookworm`
# prints after "Digest:", e.g.
#   docker build --build-arg BASE_DIGEST=@sha256:... .
ARG BASE=python:3.11-slim-bookworm
ARG BASE_DIGEST=
FROM ${BASE}${BASE_DIGEST} AS build
# cpu: torch's CPU build, from the index PIP_EXTRA_INDEX_URL (see PyTorch's "Get started" page); if it is not
# available, the CUDA build, which also runs on CPUs and is several GB larger. cuda: the CUDA build.
ARG TORCH=cpu
ARG PIP_EXTRA_INDEX_URL=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements.lock requirements-image.lock requirements-image-cuda.lock ./
RUN python -m venv /opt/hotslot \
 && lock=requirements-image-cuda.lock \
 && if [ "$TORCH" = cpu ] && sed -n '/^torch==/,/[^\\]$/p' requirements-image.lock > torch.lock \
      && /opt/hotslot/bin/pip install --no-deps --require-hashes -r torch.lock; then lock=requirements-image.lock; fi \
 && /opt/hotslot/bin/pip install --require-hashes -r "$lock" -c "$lock"
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY models models
COPY migrations migrations
# The wheel is built in a separate environment: build tools are not in the image.
RUN python -m venv /opt/build \
 && for name in hatchling packaging pathspec pluggy tomlkit trove-classifiers; do \
      sed -n "/^$name==/,/[^\\\\]\$/p" requirements.lock; done > build.lock \
 && /opt/build/bin/pip install --require-hashes -r build.lock \
 && /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /opt/wheels . \
 && /opt/hotslot/bin/pip install --no-deps /opt/wheels/*.whl

FROM ${BASE}${BASE_DIGEST}
LABEL org.opencontainers.image.title=hotslot org.opencontainers.image.licenses=MIT
RUN useradd --uid 10001 --create-home --home-dir /var/lib/hotslot hotslot
COPY --from=build /opt/hotslot /opt/hotslot
ENV PATH=/opt/hotslot/bin:$PATH HOTSLOT_HOME=/var/lib/hotslot PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/hotslot
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["hotslot", "serve", "--host", "0.0.0.0", "--workers", "0"]
