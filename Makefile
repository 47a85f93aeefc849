# setup, run, test, check, bench: what a person does here. All but git and python3.11 it brings.
PYTHON ?= python3.11
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/dev.txt
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate
export DJANGO_DEBUG ?= True

.PHONY: setup run serve test matrix clocks check bench lock screenshots

setup: $(VENV)/.ready

$(VENV)/.ready: $(LOCK) pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11, or say PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

run: setup  ## the site with its feed on http://127.0.0.1:8000
	@$(BIN)/python -c "import socket; socket.create_server(('127.0.0.1', $(PORT))).close()" 2>/dev/null || { echo "port $(PORT) is taken: say make run PORT=8001, or another free one" >&2; exit 1; }
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py loadcatalogue --if-empty
	$(BIN)/python manage.py runserver --noreload 127.0.0.1:$(PORT)

serve: setup  ## the same under uvicorn, as in production
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py serve 127.0.0.1:$(PORT)

test: setup  ## four files of tests at a time, on two cores too: most of them wait most of the time
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --durations 10 $(PYTEST)

matrix: setup  ## the fast tests on every Python and Django of this machine
	@.ci/matrix $(MATRIX)

clocks: setup  ## the fast tests under other clocks, time zones and locales
	@.ci/clocks

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djade --check $$(git ls-files 'templates/*.html')
	$(BIN)/mypy
	$(BIN)/python manage.py check
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m hatchling build -t wheel -d var/dist

bench: setup
	$(BIN)/python -m tests.benchmarks

screenshots: setup  ## the pictures in docs/
	$(BIN)/python docs/screenshots.py

lock: setup  ## write requirements/ from pyproject.toml; what runs is what was tested
	$(BIN)/$(COMPILE) --extra dev pyproject.toml --output-file requirements/dev.txt
	$(BIN)/$(COMPILE) --extra prod --constraint requirements/dev.txt pyproject.toml --output-file requirements/prod.txt
	$(BIN)/$(COMPILE) --extra site --constraint requirements/dev.txt pyproject.toml --output-file requirements/site.txt
