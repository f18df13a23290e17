# The targets need make and python3 (3.11 to 3.14) with venv. They install everything else into .venv, with the
# versions from poetry.lock. Poetry is installed separately, in .venv/poetry.
#
# `make` lists the targets with the comments after ##.

PYTHON ?= python3
PORT ?= 8000
POETRY_RELEASE := poetry==2.5.1 poetry-plugin-export==1.10.1
WITH_main := --only main
WITH_all := --all-groups

# A fallback for users without a home directory, for example in some containers.
HOME ?= $(CURDIR)/.venv
export HOME PORT
# Keep Poetry from creating its own virtual environment and from writing outside of .venv.
export POETRY_VIRTUALENVS_CREATE := false
export POETRY_CACHE_DIR := $(CURDIR)/.venv/poetry/cache
export POETRY_CONFIG_DIR := $(CURDIR)/.venv/poetry/config
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run test check check-openapi bench failover install

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1#/p' Makefile | while IFS='#' read -r target text; do \
		printf '%-20s%s\n' "$$target" "$$text"; done

run: export DEBUG := $(or $(DEBUG),true)
run: .venv/main ## Serve the API with DEBUG on SQLite. Options: PORT=8001, DEMO=1 (demo data), PYTHON=python3.14
	@.venv/bin/python -c 'import os; assert 1 <= int(os.environ["PORT"]) <= 65535' 2>/dev/null \
		|| { echo "PORT=$$PORT is not a port number. Choose one: make run PORT=8001"; exit 1; }
	@.venv/bin/python -c 'import os, socket; socket.create_server(("127.0.0.1", int(os.environ["PORT"])))' 2>/dev/null \
		|| { echo 'Port $(PORT) is in use or not allowed. Choose another one: make run PORT=8001'; exit 1; }
	@.venv/bin/python manage.py migrate --verbosity 0
	$(if $(filter-out 0 false,$(DEMO)),@.venv/bin/python manage.py seed_demo)
	@echo "Swagger UI  http://127.0.0.1:$(PORT)$(SCRIPT_NAME)/docs/swagger/"
	@echo "Admin       http://127.0.0.1:$(PORT)$(SCRIPT_NAME)/admin/  (create an account: DEBUG=true .venv/bin/python manage.py createsuperuser)"
	$(if $(filter-out 0 false,$(DEMO)),@echo "            (new password for the demo's admin: DEBUG=true .venv/bin/python manage.py changepassword admin)")
	@exec .venv/bin/gunicorn

test: .venv/all ## Run the test suite on PostgreSQL and on SQLite
	.venv/bin/pytest -n 2
	DATABASE_URL=sqlite:///test.sqlite3 .venv/bin/pytest -n 2

check: export DEBUG := false
check: export SECRET_KEY := a-key-that-is-long-enough-for-the-deployment-checks-of-Django
check: .venv/all ## Run the linter, the type checker and Django's checks
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/python manage.py makemigrations --check
	.venv/bin/python manage.py check --deploy --fail-level WARNING
	.venv/bin/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	.venv/poetry/bin/poetry check --lock

# Downloads the tools, so it is not part of `make check`.
check-openapi: .venv/main ## Lint the OpenAPI document, and test the clients that are generated from it
	tests/openapi_tools/run

bench: .venv/all ## Compare this service with stock REST framework. Option: PICTURE=docs/benchmark.svg
	.venv/bin/python -m tests.benchmark $(if $(PICTURE),--picture $(PICTURE))

# Patroni is not a dependency of the project, so it has a virtual environment of its own.
failover: .venv/all ## Test failovers of PostgreSQL under Patroni. Needs etcd and HAProxy. Option: REPETITIONS=3
	@test -x .venv/patroni/bin/patroni || { $(PYTHON) -m venv .venv/patroni \
		&& .venv/patroni/bin/python -m pip install --quiet 'patroni[etcd3,psycopg3]==4.1.5' 'psycopg[binary]'; }
	.venv/bin/python -m tests.failover --patroni .venv/patroni/bin/patroni $(if $(REPETITIONS),--repetitions $(REPETITIONS))

install: .venv/all ## Install the packages for development into .venv

# The virtual environment: .venv/main has the packages to run the project, .venv/all also those for development.
.venv/main .venv/all: .venv/%: poetry.lock | .venv/poetry/bin/poetry
	@echo "Installing the packages from poetry.lock..."
	@.venv/poetry/bin/poetry export --quiet $(WITH_$*) --output $@.txt
	@.venv/bin/python -m pip install --quiet --require-hashes --no-deps --requirement $@.txt
	@touch $@

.venv/poetry/bin/poetry:
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 15) or sys.exit("Python 3.11 to 3.14 is required. Choose one: make run PYTHON=python3.14")'
	@echo "Creating a virtual environment in .venv..."
	@$(PYTHON) -m venv .venv
	@$(PYTHON) -m venv .venv/poetry
	@.venv/poetry/bin/python -m pip install --quiet $(POETRY_RELEASE)
