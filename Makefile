# Entry point for all tasks: `make` lists them. A recipe longer than two lines is a program in
# scripts/. Requires GNU make and Python 3.11 or later, and network access for the first `setup`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests and rehearsals call make, in the same environment.
export VENV
# They start Python hundreds of times; cached byte code saves most of that.
unexport PYTHONDONTWRITEBYTECODE
AWS ?= $(BIN)/aws

# `make package` packages all templates unless TEMPLATE names one. The rehearsal's templates are in
# build/rehearsal/templates: see docs/decisions/0012-the-rehearsals-zip.md.
TEMPLATE ?=
TEMPLATES := $(wildcard templates/*.yml)
# Those of other directories are packaged under build/ too, never over the original.
packaged = $(if $(filter templates/% build/%,$(1)),$(subst templates/,build/packaged/,$(1)),build/packaged/$(subst /,-,$(1)))

# The scenario that is rehearsed; `python -m rehearsal run --list` lists them all.
SCENARIO ?= standard
# How many runs with random durations `make bench` measures.
DRAWS ?= 20

ENVIRONMENT := $(VENV)/installed
# Its own environment: checkov pins boto3 and networkx to versions that others here exclude.
CHECKOV := $(VENV)/checkov
CHECKOV_ENVIRONMENT := $(CHECKOV)/installed
LAMBDA_WHEELS := $(VENV)/wheels/lambda
LOCAL_WHEELS := $(VENV)/wheels/local
# The platforms that Lambda's python3.13 runtime on x86_64 supports, oldest first.
LAMBDA_PLATFORM := --python-version 3.13 --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64

ZIP := build/functions.zip
SOURCES := scripts/build_package.py $(shell find functions/hsm_lifecycle -name __pycache__ -prune -o -type d -print -o -name '*.py' -print -o -name '*.pem' -print)
REHEARSAL_ZIP := build/rehearsal/build/functions.zip
# The roots that the local AWS certifies HSMs with, pinned in a rehearsal instead of the real ones.
LOCAL_ROOTS := build/rehearsal/roots
REHEARSAL := $(REHEARSAL_ZIP) build/rehearsal/templates build/rehearsal/statemachines
# Released versions, frozen in tests/fixtures/released and built for this machine, to test upgrades.
RELEASES := $(notdir $(wildcard tests/fixtures/released/*))
RELEASED_WHEELS := $(RELEASES:%=$(VENV)/wheels/released/%)
RELEASED_ZIPS := $(RELEASES:%=build/released/%/build/functions.zip)
RELEASED_LINKS := $(RELEASES:%=build/released/%/templates) $(RELEASES:%=build/released/%/statemachines)
BUILT := $(ZIP) $(REHEARSAL) $(RELEASED_ZIPS) $(RELEASED_LINKS)
INGREDIENTS = $(ENVIRONMENT) $(if $(filter build/re%,$(TEMPLATE)),$(filter-out $(ZIP),$(BUILT)),$(ZIP))

.DELETE_ON_ERROR:
.SUFFIXES:

# --- Tasks

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(ENVIRONMENT) $(CHECKOV_ENVIRONMENT) $(LAMBDA_WHEELS) $(LOCAL_WHEELS) $(RELEASED_WHEELS) ## install all dependencies into .venv (0.9 GB); the only task that needs a network
	@echo "All dependencies are installed in $(VENV), which has $$(du -sh $(VENV) | cut -f1)B. Next: make rehearse"

.PHONY: format
format: $(ENVIRONMENT) ## format Python files and state machines and apply ruff's fixes
	$(BIN)/ruff check --fix-only --quiet && $(BIN)/ruff format
	$(BIN)/python -m scripts.format_statemachines

.PHONY: lint
lint: lint-python lint-security lint-types lint-templates lint-json lint-shell ## run ruff, bandit, mypy, cfn-lint, ShellCheck and the JSON format check

# Scenarios wait about as long as they compute, so three processes keep two processors busy. Each
# process takes seconds to start, which a few files or single tests do not earn back.
LONG_TESTS := tests tests/iam% tests/localaws tests/rehearsal tests/scenarios% tests/unit
SELECTED := $(patsubst %/,%,$(or $(TESTS),tests))
PROCESSES ?= $(if $(findstring ::,$(SELECTED)),0,$(if $(filter $(LONG_TESTS),$(SELECTED)),3,0))

.PHONY: test
test: $(ENVIRONMENT) $(BUILT) ## run the tests that take seconds, or TESTS= (paths); PROCESSES= overrides 3 for many, 0 for few
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist worksteal $(or $(TESTS),-m "not long")

.PHONY: rehearse
rehearse: $(ENVIRONMENT) $(BUILT) ## run a scenario in a local AWS and show it live; SCENARIO=
	$(BIN)/python -m rehearsal run --scenario $(SCENARIO)

# As ARGUMENTS= for example: --only REGEX, --sample N --seed S, --restart; see its --help.
.PHONY: faults
faults: $(ENVIRONMENT) $(BUILT) ## try the fault matrix, all calls failing in all ways; optionally ARGUMENTS=
	$(BIN)/python -m rehearsal faults $(ARGUMENTS)

.PHONY: serve
serve: $(ENVIRONMENT) $(REHEARSAL) ## run a local AWS until Ctrl-C, to deploy into manually; optionally PORT= (4566, and the next one)
	$(BIN)/python -m localaws $(if $(PORT),--port $(PORT) --admin-port $$(($(PORT) + 1)))

.PHONY: shell
shell: needs-STACK $(ENVIRONMENT) ## open a shell on the client of a stack in `make serve`; STACK=
	@$(BIN)/python -m scripts.shell $(STACK)

.PHONY: docs
docs: $(ENVIRONMENT) ## update the generated tables and diagrams in the documents
	$(BIN)/python -m scripts.print_docs

.PHONY: check-docs
check-docs: $(ENVIRONMENT) ## fail if `make docs` would change a document
	$(BIN)/python -m scripts.print_docs --check

.PHONY: check
check: TESTS = tests
check: lint lint-checkov check-docs test ## run lint, checkov, check-docs and all tests, as CI does

.PHONY: build
build: $(BUILT) ## build the zips for Lambda and for tests, reproducibly

.PHONY: package
package: needs-BUCKET $(INGREDIENTS) ## upload artifacts and write deployable templates; BUCKET=, optionally TEMPLATE=
	$(foreach template,$(or $(TEMPLATE),$(TEMPLATES)),$(call package,$(template),$(call packaged,$(template))))

# The script reads PARAMS and TAGS from the environment, where a dollar sign stays one.
.PHONY: deploy
deploy: export DEPLOY_PARAMS = $(value PARAMS)
deploy: export DEPLOY_TAGS = $(value TAGS)
deploy: needs-TEMPLATE needs-STACK needs-BUCKET only-known-variables $(INGREDIENTS) ## package, deploy and watch a stack; TEMPLATE= STACK= BUCKET=, optionally PARAMS='name=value ...' TAGS= PROTECT=no
	@$(BIN)/python -m scripts.stack deploy $(STACK) --template $(TEMPLATE) --packaged $(call packaged,$(TEMPLATE)) \
	  --bucket $(BUCKET) --aws $(AWS) $(if $(PROTECT),--protect $(PROTECT))

.PHONY: watch
watch: needs-STACK $(ENVIRONMENT) ## follow a stack's latest request until it ends; STACK= (name or ID)
	@$(BIN)/python -m scripts.stack watch $(STACK)

.PHONY: why
why: needs-STACK $(ENVIRONMENT) ## print why a stack's latest request failed, in full; STACK=
	@$(BIN)/python -m scripts.stack why $(STACK)

.PHONY: destroy
destroy: needs-STACK $(ENVIRONMENT) ## check, delete and watch a stack; STACK=
	@$(BIN)/python -m scripts.stack destroy $(STACK)

# The script reads PARAMS from the environment, where a dollar sign stays one.
.PHONY: preflight
preflight: export PREFLIGHT_PARAMS = $(value PARAMS)
preflight: needs-TEMPLATE only-known-variables $(ENVIRONMENT) ## check what would fail before anything is created; TEMPLATE= PARAMS=, optionally STACK= BUCKET= JSON=1
	@$(BIN)/python -m scripts.preflight $(TEMPLATE) $(if $(STACK),--stack $(STACK)) $(if $(BUCKET),--bucket $(BUCKET)) $(if $(JSON),--json)

.PHONY: release
release: needs-VERSION needs-BUCKETS $(ENVIRONMENT) $(ZIP) ## upload a version's artifacts and print its addresses; VERSION= BUCKETS=region=bucket,...
	@$(BIN)/python -m scripts.release publish $(VERSION) $(BUCKETS)

.PHONY: verify-release
verify-release: needs-VERSION needs-BUCKETS $(ENVIRONMENT) $(ZIP) ## compare a released version with the sources; VERSION= BUCKETS=
	@$(BIN)/python -m scripts.release verify $(VERSION) $(BUCKETS)

.PHONY: freeze-release
freeze-release: needs-VERSION $(ENVIRONMENT) ## copy a released version into the fixtures of upgrade tests; VERSION=
	@$(BIN)/python -m scripts.release freeze $(VERSION)

.PHONY: mirror
mirror: needs-BUCKET $(ENVIRONMENT) ## copy the pinned client packages, verified, to a bucket of the Region; BUCKET=, optionally PACKAGES= SOURCE=
	@$(BIN)/python -m scripts.mirror $(BUCKET) $(if $(PACKAGES),--packages $(PACKAGES)) $(if $(SOURCE),--source $(SOURCE))

.PHONY: bench
bench: $(ENVIRONMENT) $(BUILT) ## measure operations against AWS's own time, with DRAWS= (20); writes docs/benchmarks.md
	$(BIN)/python -m rehearsal bench --draws $(DRAWS) --growth --sizes --write

.PHONY: slow-tests
slow-tests: $(ENVIRONMENT) $(BUILT) ## run the tests in one process and list the slowest; optionally TESTS=
	$(BIN)/python -m pytest --durations 25 $(TESTS)

.PHONY: clean
clean: ## remove build results and caches, but not .venv
	rm -rf build .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find display functions localaws rehearsal scripts tests -name __pycache__ -prune -exec rm -rf {} +

# --- The environment, updated when its requirements change

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is required: make PYTHON=python3.13")'
	$(PYTHON) -m venv $(VENV)

$(ENVIRONMENT): $(VENV)/pyvenv.cfg requirements.txt constraints.txt functions/requirements.txt
	@echo "Installing the pinned dependencies into $(VENV): 0.6 GB, a few minutes, from the network ..."
	$(BIN)/python -m pip --disable-pip-version-check install --quiet -r requirements.txt -c constraints.txt && touch $@

$(CHECKOV_ENVIRONMENT): requirements-checkov.txt | $(VENV)/pyvenv.cfg
	@echo "Installing checkov into $(CHECKOV): 0.3 GB ..." && rm -rf $(CHECKOV) && $(BIN)/python -m venv $(CHECKOV)
	$(CHECKOV)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -r $< && touch $@

# Into a directory of its own, which is moved, because rehearsals run make concurrently.
FETCH = $(BIN)/python -m pip --disable-pip-version-check download --quiet --require-hashes --no-deps --only-binary :all: -r $<

$(LAMBDA_WHEELS): functions/hashes.txt | $(ENVIRONMENT)
	$(FETCH) $(LAMBDA_PLATFORM) -d $@.$$$$ && rm -rf $@ && mv $@.$$$$ $@

$(LOCAL_WHEELS): functions/local-hashes.txt | $(ENVIRONMENT)
	$(FETCH) -d $@.$$$$ && rm -rf $@ && mv $@.$$$$ $@

$(RELEASED_WHEELS): $(VENV)/wheels/released/%: tests/fixtures/hashes/%.txt | $(ENVIRONMENT)
	$(FETCH) -d $@.$$$$ && rm -rf $@ && mv $@.$$$$ $@

# --- Build results

$(ZIP): $(LAMBDA_WHEELS) $(SOURCES)
	$(BIN)/python -m scripts.build_package $< $@

$(REHEARSAL_ZIP): $(LOCAL_WHEELS) $(SOURCES) $(LOCAL_ROOTS)
	$(BIN)/python -m scripts.build_package --roots $(LOCAL_ROOTS) $< $@

$(LOCAL_ROOTS): localaws/services/cloudhsmv2/hardware_roots.py | $(ENVIRONMENT)
	$(BIN)/python -m localaws.services.cloudhsmv2.hardware_roots $@ && touch $@

build/rehearsal/templates build/rehearsal/statemachines:
	@mkdir -p $(@D) && ln -sfn ../../$(@F) $@

$(RELEASED_ZIPS): build/released/%/build/functions.zip: $(VENV)/wheels/released/% tests/fixtures/released/%/SHA256SUMS scripts/build_package.py $(LOCAL_ROOTS)
	$(BIN)/python -m scripts.build_package --roots $(LOCAL_ROOTS) --sources tests/fixtures/released/$*/functions/hsm_lifecycle $< $@

$(RELEASED_LINKS): build/released/%:
	@mkdir -p $(@D) && ln -sfn ../../../tests/fixtures/released/$* $@

# Written to a temporary file and moved, because rehearsals may package concurrently.
define package
@mkdir -p $(dir $(2))
$(AWS) cloudformation package --template-file $(1) --s3-bucket $(BUCKET) --output-template-file $(2).$$$$ > /dev/null && mv $(2).$$$$ $(2)

endef

# --- Linters

.PHONY: lint-python
lint-python: $(ENVIRONMENT)
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet

# bandit's own log, which only warns of comments, is shown if it fails.
.PHONY: lint-security
lint-security: $(ENVIRONMENT)
	@mkdir -p build
	$(BIN)/bandit --quiet --recursive display functions localaws rehearsal scripts 2> build/bandit.log || { cat build/bandit.log; exit 1; }

.PHONY: lint-types
lint-types: $(ENVIRONMENT)
	$(BIN)/mypy

.PHONY: lint-templates
lint-templates: $(ENVIRONMENT)
	$(BIN)/cfn-lint

# Its parser leaves a cache in TMPDIR.
.PHONY: lint-checkov
lint-checkov: $(CHECKOV_ENVIRONMENT)
	mkdir -p build && TMPDIR=$(CURDIR)/build $(CHECKOV)/bin/checkov

.PHONY: lint-json
lint-json: $(ENVIRONMENT)
	$(BIN)/python -m scripts.format_statemachines --check

.PHONY: lint-shell
lint-shell: $(ENVIRONMENT)
	$(BIN)/shellcheck .ci/run $(wildcard scripts/*.sh localaws/sandbox/*.sh localaws/sandbox/fake_bin/*.sh)
	$(BIN)/python -m scripts.extract_scripts build/scripts | xargs $(BIN)/shellcheck

# Without quotes, PARAMS=a=1 b=2 sets the make variable b, and PARAMS=a=1 b is a second goal.
VARIABLES := ARGUMENTS AWS BUCKET BUCKETS DRAWS JSON PACKAGES PARAMS PROCESSES PROTECT PYTHON SCENARIO SOURCE STACK TAGS TEMPLATE TESTS VENV VERSION
SWALLOWED = $(filter-out $(VARIABLES) -%,$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
only-known-variables:
	@:$(foreach name,$(SWALLOWED) $(filter-out deploy preflight build package setup,$(MAKECMDGOALS)),$(error $(name) was not passed on: quote all of PARAMS, as in PARAMS='name=value $(name)=value'))
	@:$(if $(word 2,$(AWS)),$(error AWS= is the command only: set options as AWS_PROFILE and AWS_REGION, which all commands use))

needs-%:
	@:$(if $($*),,$(error $* is missing: pass $*=, see `make help`))
