# One image for web, worker and migrations; the command chooses.
FROM python:3.11-slim

# On x86 Linux pip's default torch carries CUDA. For a much smaller image without a GPU, pass
# PyTorch's CPU index: docker compose build --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL=""

ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 HF_HOME=/data/huggingface

WORKDIR /opt/dipole
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY server server
COPY models models
COPY frontend frontend
COPY migrations migrations
RUN pip install -c constraints.txt . \
    && useradd --create-home --uid 1000 dipole \
    && install -d -o dipole -g dipole /data

# Elsewhere than the sources: the installed packages are the ones that run.
WORKDIR /home/dipole
USER dipole
VOLUME /data
EXPOSE 8000
CMD ["dipole", "serve", "--host", "0.0.0.0"]
