# docker build -t spatioformer .
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" spatioformer run my_run.yaml
#
# The first stage installs into /opt/venv; the image holds that folder and neither source nor caches.
FROM python:3.12-slim AS build
WORKDIR /source
RUN python -m venv /opt/venv
COPY pyproject.toml constraints.txt requirements-data.txt README.md LICENSE ./
COPY src src
RUN /opt/venv/bin/python -m pip install --no-cache-dir -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu '.[text,fast,dask,boost,zarr,stac,view]'
RUN /opt/venv/bin/python -m pip install --no-cache-dir --no-deps -r requirements-data.txt

FROM python:3.12-slim
# The wheel of rasterio needs libexpat, that of lightgbm libgomp; a slim image has neither.
RUN apt-get update && apt-get install -y --no-install-recommends libexpat1 libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 spatioformer
COPY --from=build /opt/venv /opt/venv
# Caches in /tmp, since a user given with --user has no home that it can write.
ENV PATH=/opt/venv/bin:$PATH NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib
USER spatioformer
WORKDIR /work
ENTRYPOINT ["spatioformer"]
CMD ["--help"]
