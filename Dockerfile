FROM python:3.13-slim AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

# Poetry gets its own virtual environment. The project's environment contains neither Poetry nor pip.
RUN python -m venv /opt/poetry \
    && /opt/poetry/bin/pip install poetry==2.5.1 poetry-plugin-export==1.10.1 \
    && python -m venv --without-pip /opt/venv

# Copied before the code, so that Docker reuses this layer until pyproject.toml or poetry.lock changes.
WORKDIR /build
COPY pyproject.toml poetry.lock ./
RUN /opt/poetry/bin/poetry export --only main --output requirements.txt \
    && pip --python /opt/venv install --require-hashes --no-deps --requirement requirements.txt

ENV PATH=/opt/venv/bin:$PATH

WORKDIR /app
COPY authentication authentication/
COPY event event/
COPY eventmanagement eventmanagement/
COPY reservation reservation/
COPY gunicorn.conf.py manage.py pyproject.toml ./
# collectstatic needs a SECRET_KEY but signs nothing with it. The container's user can't write to /app, so
# the bytecode is compiled here. chmod makes all files readable for that user.
RUN SECRET_KEY=unused python manage.py collectstatic --no-input \
    && python -m compileall -q . \
    && chmod -R a+rX .


FROM python:3.13-slim

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /app /app

WORKDIR /app
USER 10001:10001
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", "\
import os, urllib.request; \
urllib.request.urlopen('http://127.0.0.1:8000' + os.environ.get('SCRIPT_NAME', '') + '/healthz', timeout=4)"]

# The workers' heartbeat files are in /dev/shm: it is writable even with a read-only root file system, and
# a busy disk can't delay them.
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "--worker-tmp-dir", "/dev/shm"]
