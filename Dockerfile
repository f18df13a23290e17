FROM python:3.13-slim AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

# Poetry lives apart from what it exports for; the project's environment gets no pip either.
RUN python -m venv /opt/poetry \
    && /opt/poetry/bin/pip install poetry==2.5.1 poetry-plugin-export==1.10.1 \
    && python -m venv --without-pip /opt/venv

# Before the code, so that only a change of the lock installs again.
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
# The key is for this command alone, which signs nothing with it. Whoever runs the image may write
# nothing there: the bytecode is compiled here, and what only root could read becomes readable.
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

# Asked under a name that ALLOWED_HOSTS has, which need not be 127.0.0.1.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", "\
import os, urllib.request as http; \
host = os.environ.get('ALLOWED_HOSTS', '').split(',')[0].strip(' *.') or 'localhost'; \
http.urlopen(http.Request('http://127.0.0.1:8000/healthz', headers={'Host': host}), timeout=4)"]

# The workers' heartbeats go to memory: it is there where the root file system is read-only, and
# a busy disk cannot stall them.
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "--worker-tmp-dir", "/dev/shm"]
