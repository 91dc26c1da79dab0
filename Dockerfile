# toe itself: controller, webhook, and whatever door comes next.
# Anywhere:  docker build -t localhost/toe/operator:dev .          (from the top of the repository)
# Here:      python -m tools.images operator   (passes BASE and SITE, both made without a registry)
ARG BASE=docker.io/library/debian:bookworm-slim
ARG SITE=docker.io/library/python:3.11-slim-bookworm

FROM ${SITE} AS site
COPY requirements/run.txt /requirements.txt
RUN [ -d /site ] || pip install --no-deps --only-binary=:all: --require-hashes --target /site -r /requirements.txt

FROM ${BASE} AS packed
RUN command -v python3 >/dev/null || { apt-get update && apt-get install -y --no-install-recommends python3 libstdc++6; }
COPY --from=site /site /app/site
COPY src/toe /app/toe
COPY tools/pack.sh /pack.sh
# What only the command line needs is no part of the servers.
RUN cd /app/site && rm -rf pydantic* typer* rich* pygments* markdown_it* mdurl* shellingham* annotated_* typing_inspection* bin
RUN python3 -m compileall -q -j 0 /app && rm -rf /usr/lib/python3.11/test /usr/lib/python3.11/pydoc_data /usr/lib/python3.11/ensurepip \
    && sh /pack.sh /usr/bin/python3 /usr/bin/python3.11 /usr/lib/python3.11 /app

FROM scratch
COPY --from=packed /image/ /
ENV PATH=/usr/bin PYTHONPATH=/app:/app/site PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["python3", "-m", "toe.main"]
