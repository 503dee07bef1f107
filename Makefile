# The README's commands: `make demo`, `make test`. Everything that is downloaded or built is cached below $(LORE_CACHE), keyed by content.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help tools setup venv check generate generated-clean test unit controlplane integration chart e2e demo bench bench-quality campaign controllers gitops spark cluster-up cluster-down locks sbom sbom-images audit

export LORE_CACHE ?= $(HOME)/.cache/lore-platform
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE := hardlink
UV := $(LORE_CACHE)/bootstrap/bin/uv
# Debian's own where there is one, as in the images: it is built with optimizations that another build may lack.
PYTHON := $(or $(wildcard /usr/bin/python3.11),3.11)
PY := .venv/bin/python
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest
COMPILE := $(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --python-platform x86_64-manylinux_2_28 pyproject.toml

LOCKS := operator router strata training serving-cpu serving-gpu
AUDIT := $(LORE_CACHE)/audit

$(AUDIT)/.complete: requirements/audit.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(AUDIT)
	VIRTUAL_ENV=$(AUDIT) $(UV) pip install --quiet --require-hashes -r requirements/audit.txt
	cp requirements/audit.txt $@

sbom: $(AUDIT)/.complete ## dist/sbom: a CycloneDX bill of materials of each lock file
	mkdir -p dist/sbom
	for lock in $(LOCKS); do $(AUDIT)/bin/cyclonedx-py requirements --output-reproducible --output-format JSON --output-file dist/sbom/$$lock.cdx.json requirements/$$lock.txt; done

sbom-images: $(AUDIT)/.complete ## dist/sbom: the same of each image as it was built, its Debian packages too
	$(AUDIT)/bin/python -m hack.images.bill --into dist/sbom

audit: .venv/.complete $(AUDIT)/.complete ## known vulnerabilities of every lock, but for requirements/audit-exceptions.txt; ADVISORIES=FOLDER asks no index
	$(PY) -m hack.audit --pip-audit $(AUDIT)/bin/pip-audit $(if $(ADVISORIES),--advisories $(ADVISORIES)) $(LOCKS:%=requirements/%.txt)

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(UV): requirements/bootstrap.txt
	python3 -m venv $(LORE_CACHE)/bootstrap
	$(LORE_CACHE)/bootstrap/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt

# Not `.lock`: uv leaves a file of that name itself, before anything is installed.
.venv/.complete: requirements/dev.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --compile-bytecode --require-hashes -r requirements/dev.txt
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	cp requirements/dev.txt $@

.venv-serving/.complete: requirements/serving-cpu.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-serving
	VIRTUAL_ENV=.venv-serving $(UV) pip install --quiet --compile-bytecode --no-deps --require-hashes -r requirements/serving-cpu.txt
	cp requirements/serving-cpu.txt $@

venv: .venv/.complete .venv-serving/.complete

setup: venv ## virtual environments, cluster binaries and the pretrained base model (all cached)
	$(PY) -m hack.cluster build
	$(PY) -m hack.basemodel

# All at once where all are wanted: one module after the other would compile their common packages again and again.
tools: venv
	$(PY) -m hack.cluster build --profile node checks

check: venv ## format, lint, types, import arrows, generated files
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(MAKE) --no-print-directory generated-clean

generate: venv ## write crds/, docs/api.md, docs/reasons.md, the chart's copies and deploy/ from code and chart
	$(PY) -m lore_operator.api.crd
	$(PY) -m hack.generate
	$(PY) -m hack.manifests

generated-clean: venv
	$(PY) -m lore_operator.api.crd --check
	$(PY) -m hack.generate --check

unit: venv
	$(PYTEST) tests/unit -n 2

# The operator's rights are judged by one audit log: what makes use of them all, and then the judge, on one control plane.
RIGHTS := $(addprefix tests/controlplane/test_,operator_train.py operator_serving.py gitops.py rights.py)

controlplane: venv
	$(PY) -m hack.cluster build --profile control-plane
	$(PYTEST) tests/controlplane -n 2 --dist loadfile $(addprefix --ignore=,$(RIGHTS))
	$(PYTEST) $(RIGHTS)

integration: setup
	$(PYTEST) tests/integration -n 2 --dist loadfile

chart: venv
	$(PY) -m hack.cluster build --profile control-plane checks
	$(PYTEST) tests/chart

e2e: setup ## the node, the quickstart and its faults (builds the images)
	$(PYTEST) tests/e2e

test: venv ## every layer, with the minutes of each
	$(PY) -m hack.layers

demo: setup ## pairs to served answers on a real node; DEMO_ARGS=--keep leaves the cluster up
	$(PY) -m hack.demo $(DEMO_ARGS)

bench: setup ## every benchmark, whole
	$(PY) -m benchmarks.router --kserve-router "$$($(PY) -m hack.cluster bin kserve-router)"
	$(PY) -m benchmarks.strata
	$(PY) -m benchmarks.replay
	$(PY) -m benchmarks.chorus
	$(PY) -m benchmarks.evaluation
	$(PY) -m benchmarks.gates
	$(PY) -m benchmarks.training
	$(PY) -m benchmarks.ablation
	$(PY) -m benchmarks.students
	$(PY) -m benchmarks.scoring
	$(PY) -m benchmarks.operator --peer
	$(PY) -m benchmarks.install

bench-quality: setup ## three seeds of the generated benchmark's yardsticks, and of its pictures
	$(PY) -m benchmarks.quality
	$(PY) -m benchmarks.pictures

.venv-spark/.complete: requirements/spark.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-spark
	VIRTUAL_ENV=.venv-spark $(UV) pip install --quiet --no-deps --require-hashes -r requirements/spark.txt
	cp requirements/spark.txt $@

# Half a gigabyte that nothing else needs: outside `make test`, with a lock and an environment of its own. Needs Java 17.
spark: venv .venv-spark/.complete ## a log counted with Spark in local mode gives the bytes that DuckDB gives (needs openjdk-17-jre-headless)
	PYTHONPATH=$(CURDIR)/.venv-spark/lib/python3.11/site-packages $(PYTEST) tests/spark

controllers: venv ## queues, preemption and JobSets with the real Kueue and JobSet controllers (builds both)
	$(PY) -m hack.cluster build --profile control-plane controllers
	$(PYTEST) tests/controllers

gitops: venv ## promotion through Git with Flux's real source- and kustomize-controller (builds both)
	$(PY) -m hack.cluster build --profile control-plane gitops
	$(PYTEST) tests/gitops

campaign: setup ## the routers' fault runs without and with a cluster, the fault tests ten rounds in a row, then outages, crashes at every write of a roll-out, spec transitions and killed training stages whole
	$(PY) -m benchmarks.faults
	$(PY) -m benchmarks.faults.node
	for round in 1 2 3 4 5 6 7 8 9 10; do echo "round $$round"; $(PYTEST) tests/controlplane/test_operator_train.py tests/controlplane/test_operator_serving.py tests/controlplane/test_faults.py tests/controlplane/test_leader.py tests/e2e/test_resilience.py; done
	LORE_CAMPAIGN=1 LORE_SEED=$${LORE_SEED:-$$RANDOM} $(PYTEST) -s tests/controlplane/test_outage.py tests/controlplane/test_faults_serving.py tests/controlplane/test_transitions.py tests/integration/training/test_resume.py

cluster-up: setup ## the one-node cluster; prints its KUBECONFIG
	$(PY) -m hack.cluster up --profile node

cluster-down: venv ## stop what cluster-up started
	$(PY) -m hack.cluster down --profile node

locks: $(UV) ## recompile every lock file
	echo 'uv==0.13.9' | $(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 - -o requirements/bootstrap.txt
	printf 'cyclonedx-bom\npip-audit\n' | $(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --python-platform x86_64-manylinux_2_28 - -o requirements/audit.txt
	$(COMPILE) --extra operator -o requirements/operator.txt
	$(COMPILE) --extra router -o requirements/router.txt
	$(COMPILE) --extra strata -o requirements/strata.txt
	$(COMPILE) --extra spark --extra strata --constraint requirements/strata.txt -o requirements/spark.txt
	$(COMPILE) --extra training -o requirements/training.txt
	$(COMPILE) --extra serving-cpu --overrides requirements/serving-overrides.txt -o requirements/serving-cpu.txt
	$(COMPILE) --extra serving-gpu -o requirements/serving-gpu.txt
	$(COMPILE) --group dev --extra operator --extra router --extra strata --extra training -o requirements/dev.txt
