# The commands of a developer: `make help` lists them. They need git and Python; they install the rest.
PORT ?= 8000
BIN := .venv/bin
INSTALL = @python=$$(requirements/find-python) && "$$python" requirements/install.py
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate
export PORT PYTHON

define DATABASE
@echo updating the database
@$(BIN)/python manage.py migrate --verbosity 0
@$(BIN)/python manage.py loadcatalogue --if-empty
endef

.PHONY: help setup dev run serve test matrix clocks newcomer hosts htmx check audit bench browsers faults kills lock revisions screenshots

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z]+:.*  ## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: dev  ## everything that development needs: then every command of the documents works
	$(DATABASE)

dev:  ## the packages of development in .venv/, and the settings of this machine in .env
	$(INSTALL) dev

run:  ## the site with its feed on http://127.0.0.1:8000; PORT=9000 takes another port
	$(INSTALL) site "$$PORT"
	$(DATABASE)
	@$(BIN)/python manage.py runserver --noreload "127.0.0.1:$$PORT"

serve:  ## the same under uvicorn, as in production
	$(INSTALL) prod "$$PORT"
	$(DATABASE)
	@$(BIN)/python manage.py serve "127.0.0.1:$$PORT"

# four files of tests at a time, even on two cores, because a third of the time they only wait
test: dev  ## all tests; PYTEST="tests/test_docs.py" runs only these
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --durations 10 $(PYTEST)

matrix: dev  ## the fast tests with each Python of this machine and each supported Django
	@.ci/matrix $(MATRIX)

clocks: dev  ## the fast tests under other clocks, time zones and locales
	@.ci/clocks

htmx: dev  ## the tests with a browser on another release of htmx 4, from npm; RELEASE=4.0.1
	@.ci/htmx $(or $(RELEASE),4.0.1)

check: dev  ## style, types and settings; it builds a wheel in var/dist/, too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djade --check $$(git ls-files 'templates/*.html' 'site/*.html')
	$(BIN)/mypy
	$(BIN)/python manage.py check
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m hatchling build -t wheel -d var/dist

newcomer: dev  ## the steps of the README from an empty folder to a moving price, with their seconds
	@$(BIN)/python -m tests.hosts.newcomer

hosts: dev  ## the wheel in sites of other people, in Chromium; HOSTS=Wagtail tries only this one
	@$(BIN)/python -m tests.hosts $(HOSTS)

audit: dev  ## compare the locked packages with advisories, and list them in var/sbom.json
	@$(BIN)/python requirements/audit.py

bench: dev  ## measure the server; GROUPS=day measures only the edits of an operator
	$(BIN)/python -m tests.benchmarks $(GROUPS)

browsers: dev  ## a short suite in Chromium, Firefox and WebKitGTK; `.ci/packages browsers` installs them
	$(BIN)/python -m pytest tests/browsers/suite.py

faults: dev  ## break one thing after the other, and write the figures into docs/reliability.md
	$(BIN)/python -m tests.faults $(CASES)

kills: dev  ## break processes at random; the same SEED breaks the same ones
	$(BIN)/python -m tests.faults.kills --seed $(or $(SEED),1) --minutes $(or $(MINUTES),10)

screenshots: dev  ## the pictures in docs/
	$(BIN)/python docs/screenshots.py

lock: dev  ## write requirements/ from pyproject.toml, so that the same versions are tested and run
	$(BIN)/$(COMPILE) --extra dev pyproject.toml --output-file requirements/dev.txt
	$(BIN)/$(COMPILE) --extra prod --constraint requirements/dev.txt pyproject.toml --output-file requirements/prod.txt
	$(BIN)/$(COMPILE) --extra site --constraint requirements/dev.txt pyproject.toml --output-file requirements/site.txt

revisions: dev  ## raise the revisions of changed templates that a site may replace
	@$(BIN)/python -m tests.revisions
