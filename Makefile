# The index of what one can do here: `make` prints it. Whatever takes more than two lines is a
# program under scripts/. Needs GNU make and Python 3.11 or later, and a network the first time.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests and rehearsals call make themselves, and mean the same environment.
export VENV
# They start Python hundreds of times: what is compiled once need not be compiled again.
unexport PYTHONDONTWRITEBYTECODE
AWS ?= $(BIN)/aws

# Every template is packaged unless one is named. Those of the rehearsal are under
# build/rehearsal/templates: see docs/decisions/0012-the-rehearsals-zip.md.
TEMPLATE ?=
TEMPLATES := $(wildcard templates/*.yml)
packaged = $(subst templates/,build/packaged/,$(1))

# The scenario that is rehearsed; `python -m rehearsal run --list` lists them all.
SCENARIO ?= standard

ENVIRONMENT := $(VENV)/installed
LAMBDA_WHEELS := $(VENV)/wheels/lambda
LOCAL_WHEELS := $(VENV)/wheels/local
# What Lambda's python3.13 on x86_64 can load, the oldest first.
LAMBDA_PLATFORM := --python-version 3.13 --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64

ZIP := build/functions.zip
SOURCES := scripts/build_package.py $(shell find functions/hsm_lifecycle -name __pycache__ -prune -o -type d -print -o -name '*.py' -print)
REHEARSAL_ZIP := build/rehearsal/build/functions.zip
REHEARSAL := $(REHEARSAL_ZIP) build/rehearsal/templates build/rehearsal/statemachines
INGREDIENTS = $(ENVIRONMENT) $(if $(filter build/rehearsal/%,$(TEMPLATE)),$(REHEARSAL),$(ZIP))

.DELETE_ON_ERROR:
.SUFFIXES:

# --- What people ask for

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(ENVIRONMENT) $(LAMBDA_WHEELS) $(LOCAL_WHEELS) ## fetch all that is needed into .venv; nothing else needs a network

.PHONY: format
format: $(ENVIRONMENT) ## format Python files and state machines, and apply ruff's fixes
	$(BIN)/ruff check --fix-only --quiet && $(BIN)/ruff format
	$(BIN)/python -m scripts.format_statemachines

.PHONY: lint
lint: lint-python lint-types lint-templates lint-json lint-shell ## ruff, mypy, cfn-lint, JSON, ShellCheck; changes nothing

# A life in a local AWS waits almost as often as it works: three share two processors well.
.PHONY: test
test: $(ENVIRONMENT) $(ZIP) $(REHEARSAL) ## run the tests, all or TESTS=
	$(BIN)/python -m pytest --numprocesses 3 --dist worksteal $(TESTS)

.PHONY: rehearse
rehearse: $(ENVIRONMENT) $(REHEARSAL) ## run a scenario in a local AWS and show it live; SCENARIO=
	$(BIN)/python -m rehearsal run --scenario $(SCENARIO)

.PHONY: serve
serve: $(ENVIRONMENT) $(REHEARSAL) ## keep a local AWS up, to deploy into by hand
	$(BIN)/python -m localaws

.PHONY: docs
docs: $(ENVIRONMENT) ## print state machines, parameters, errors and permissions into the documents
	$(BIN)/python -m scripts.print_docs

.PHONY: check-docs
check-docs: $(ENVIRONMENT) ## fail if `make docs` would change anything
	$(BIN)/python -m scripts.print_docs --check

.PHONY: check
check: lint check-docs test ## all that CI checks

.PHONY: build
build: $(ZIP) ## build the Lambda zip, the same bytes each time

.PHONY: package
package: needs-BUCKET $(INGREDIENTS) ## upload what the templates need; BUCKET=, and TEMPLATE= for one only
	$(foreach template,$(or $(TEMPLATE),$(TEMPLATES)),$(call package,$(template),$(call packaged,$(template))))

.PHONY: deploy
deploy: needs-TEMPLATE needs-STACK package ## package and deploy; TEMPLATE= STACK= BUCKET= PARAMS='name=value ...' TAGS=
	$(AWS) cloudformation deploy --template-file $(call packaged,$(TEMPLATE)) --stack-name $(STACK) --s3-bucket $(BUCKET) \
	  --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset $(if $(PARAMS),--parameter-overrides $(PARAMS)) $(if $(TAGS),--tags $(TAGS))

.PHONY: destroy
destroy: needs-STACK $(ENVIRONMENT) ## delete a stack and wait until it is gone; STACK=
	$(AWS) cloudformation delete-stack --stack-name $(STACK)
	$(AWS) cloudformation wait stack-delete-complete --stack-name $(STACK)

.PHONY: bench
bench: $(ENVIRONMENT) $(ZIP) $(REHEARSAL) ## run the tests one by one and list the slowest
	$(BIN)/python -m pytest --durations 25 $(TESTS)

.PHONY: clean
clean: ## remove what make built; .venv stays
	rm -rf build .mypy_cache .pytest_cache .ruff_cache
	find functions localaws rehearsal scripts tests -name __pycache__ -prune -exec rm -rf {} +

# --- The environment, made anew when what it is made from changes

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.13")'
	$(PYTHON) -m venv $(VENV)

$(ENVIRONMENT): $(VENV)/pyvenv.cfg requirements.txt constraints.txt functions/requirements.txt
	$(BIN)/python -m pip --disable-pip-version-check install --quiet -r requirements.txt -c constraints.txt
	@touch $@

FETCH = $(BIN)/python -m pip --disable-pip-version-check download --quiet --no-deps --only-binary :all: -r $<

$(LAMBDA_WHEELS): functions/requirements.txt | $(ENVIRONMENT)
	@rm -rf $@ $@.partly
	$(FETCH) $(LAMBDA_PLATFORM) -d $@.partly && mv $@.partly $@

$(LOCAL_WHEELS): functions/requirements.txt | $(ENVIRONMENT)
	@rm -rf $@ $@.partly
	$(FETCH) -d $@.partly && mv $@.partly $@

# --- What is built

$(ZIP): $(LAMBDA_WHEELS) $(SOURCES)
	$(BIN)/python -m scripts.build_package $< $@

$(REHEARSAL_ZIP): $(LOCAL_WHEELS) $(SOURCES)
	$(BIN)/python -m scripts.build_package $< $@

build/rehearsal/templates build/rehearsal/statemachines:
	@mkdir -p $(@D) && ln -sfn ../../$(@F) $@

# Written aside and then moved, because several rehearsals may package at the same time.
define package
@mkdir -p $(dir $(2))
$(AWS) cloudformation package --template-file $(1) --s3-bucket $(BUCKET) --output-template-file $(2).$$$$ > /dev/null && mv $(2).$$$$ $(2)

endef

# --- The parts of lint

.PHONY: lint-python
lint-python: $(ENVIRONMENT)
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet

.PHONY: lint-types
lint-types: $(ENVIRONMENT)
	$(BIN)/mypy

.PHONY: lint-templates
lint-templates: $(ENVIRONMENT)
	$(BIN)/cfn-lint

.PHONY: lint-json
lint-json: $(ENVIRONMENT)
	$(BIN)/python -m scripts.format_statemachines --check

.PHONY: lint-shell
lint-shell: $(ENVIRONMENT)
	$(BIN)/shellcheck .ci/run $(wildcard scripts/*.sh localaws/sandbox/*.sh localaws/sandbox/fake_bin/*.sh)
	$(BIN)/python -m scripts.extract_scripts build/scripts | xargs $(BIN)/shellcheck

needs-%:
	@:$(if $($*),,$(error $* is missing: give $*= as `make help` shows))
