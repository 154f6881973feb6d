# What people type: `make demo`, then `make test`. Everything runs in .venv, made on first use.
#
#   make demo                                     edit three seconds of Big Buck Bunny four times
#   make demo CLIP=in.mp4 INSTRUCTION="make it snow"   edit your own clip
#   make test                                     style, types, tests, examples
#   make test-app                               the web page in a real browser, in full (four minutes)
#   make test-full                                20 kills of an edit instead of 4, planted bugs in kernels, all variants of models
#   make test-cluster                             a list on Ray: poison jobs, lost machines, frozen workers (ten minutes)
#   make soak SECONDS=1800                        a list whose workers are killed and frozen at random
#   make test-gpu                                 the tests that need a CUDA device
#   make test-versions                            each Python here, lowest and newest libraries (five minutes); part of CI
#   make fuzz                                     2,000 damaged clips and random options (ten minutes)
#   make bench                                    how fast an edit is, on a CPU with `mini`
#   make bench-gpu                                the same on a CUDA device (ten minutes); results as files
#   make bench-gpu DRY=1                          its path on a CPU, with tiny models
#                 RESULTS=benchmarks/results      where both write; out/bench otherwise
#   make evidence                                 measure what the documents claim of the bundled model (two hours)
#   make evidence EVIDENCE=quick                  the same on few clips (15 minutes), pages in out/evidence/quick
#                 CLIPS=DIR PHOTOS=DIR ALSO=NAME=MODEL     real clips, photographs, a further model
#   make style | lint | format | build | clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# What an edit needs, and what tests, benchmarks and the page need besides
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
OUT ?= out/demo
RESULTS ?= out/bench
EVIDENCE ?= full
# One more than there are cores: some tests wait for other processes
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.PHONY: venv demo test test-app test-full test-cluster soak test-gpu test-versions fuzz style lint format build bench bench-gpu evidence clean

venv: $(DEV_STAMP)

# A stamp is newer than the files that decide what is installed: a repeated `make` skips this.
$(STAMP): setup.py pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "make: $(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; \
	  rm -rf $(VENV); exit 1; }
	$(PIP_INSTALL) --constraint constraints.txt --editable .
	@touch $(STAMP)

$(DEV_STAMP): $(STAMP)
	$(PIP_INSTALL) --constraint constraints.txt --editable ".[train,eval,lora,c2pa,app,cluster,dev]"
	@# Without torchvision, which it names and two of its kinds of models need: a torchvision that does
	@# not match torch breaks diffusers
	$(PIP_INSTALL) --no-deps spandrel einops
	@touch $(DEV_STAMP)

demo: $(STAMP)
	$(BIN)/python examples/demo.py --out "$(OUT)" \
	  $(if $(CLIP),--clip "$(CLIP)") $(if $(INSTRUCTION),--instruction "$(INSTRUCTION)")

# mypy is one of the tests, beside the others
test: style
	$(BIN)/python -m pytest -q -n $(WORKERS) -p tests.groups --dist loadscope \
	  --no-loadscope-reorder -m "not gpu and not slow and not cluster"

# The tests whose slim form is part of `make test`, in full, and the slowest ones
test-full: $(DEV_STAMP)
	FAIRY_KILLS=20 $(BIN)/python -m pytest -q --log-cli-level=INFO tests/jobs/test_kill.py
	$(BIN)/python -m pytest -q -m slow

test-cluster: $(DEV_STAMP)
	$(BIN)/python -m pytest -q -m cluster tests/batch

soak: $(DEV_STAMP)
	PYTHONPATH=.:kernels $(BIN)/python tests/batch/soak.py --seconds $(or $(SECONDS),1800)

# The browser comes from the npm registry, once
test-app: $(DEV_STAMP)
	@test -e .browser/environment || bash tests/app/get_browser.sh
	. ./.browser/environment && $(BIN)/python -m pytest -q tests/app tests/cli/test_web_page.py

# Elsewhere the tests have Triton interpret its kernels
test-gpu: $(DEV_STAMP)
	TRITON_INTERPRET=0 $(BIN)/python -m pytest -q -m gpu

test-versions: $(DEV_STAMP)
	$(BIN)/python tests/versions/run.py

fuzz: $(DEV_STAMP)
	FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/python -m pytest -q --timeout=0 tests/fuzz

style: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint: style
	$(BIN)/mypy

format: $(DEV_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: $(DEV_STAMP)
	$(BIN)/python -m build --outdir dist

# Other scripts of benchmarks/ are run by hand
bench: $(DEV_STAMP)
	$(BIN)/python benchmarks/run_all.py cpu --out "$(RESULTS)"

bench-gpu: $(DEV_STAMP)
	$(BIN)/python benchmarks/run_all.py gpu --out "$(RESULTS)" $(if $(DRY),--dry-run)

evidence: $(DEV_STAMP)
	$(BIN)/python benchmarks/evidence.py $(EVIDENCE) $(if $(CLIPS),--clips "$(CLIPS)") \
	  $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(ALSO),--also "$(ALSO)")

clean:
	rm -rf build dist out *.egg-info .mypy_cache .ruff_cache .pytest_cache
