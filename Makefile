# Each target does all its own set-up; Python >= 3.10 and make are enough. PYTHON=... chooses the interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_CONFIG := configs/yolov5/ins_seg/yolov5_ins_n-v61_320_sample_instance.py
DEMO_DATA := data/sample_balloon
DEMO_DIR := work_dirs/demo

.DELETE_ON_ERROR:
.PHONY: help demo test lint docs clean venv

help:
	@echo 'make demo   install, make sample data, train, test, and say where the pictures are'
	@echo 'make test   install and run the tests, but for the slowest'
	@echo 'make lint   install and run the linters'
	@echo 'make docs   install and build the documentation site in build/site'
	@echo 'make venv   install into $(VENV)'
	@echo 'make clean  remove $(VENV), caches, the sample data and the demo run'

venv: $(READY)

$(READY): requirements.txt $(wildcard requirements/*.txt) pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Python 3.10 or newer is needed, '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
	  echo 'Name another one: make $(MAKECMDGOALS) PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "'$(PYTHON)' cannot create virtual environments (Debian, Ubuntu: apt install python3-venv)."; exit 1; }
	$(BIN)/python -m pip install -r requirements.txt
	@# Without libGL (servers, containers) only the headless OpenCV loads; both use the folder cv2/, the last one wins.
	@$(BIN)/python -c 'import cv2' 2>/dev/null || $(BIN)/python -m pip install --force-reinstall --no-deps \
	  "$$(grep '^opencv-python-headless==' requirements.txt)"
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	@touch $@

# The validation files are written last, so their presence means that the set is complete.
$(DEMO_DATA)/val/via_region_data.json: mmyolo_lite/datasets/sample.py $(wildcard mmyolo_lite/datasets/sample_*.py) \
    | $(READY)
	$(BIN)/python tools/misc/make_sample_dataset.py --out-dir $(DEMO_DATA) --overwrite

$(DEMO_DATA)/val.json: $(DEMO_DATA)/val/via_region_data.json | $(READY)
	$(BIN)/python tools/dataset_converters/balloon2coco.py --data-root $(DEMO_DATA) --overwrite

demo: $(READY) $(DEMO_DATA)/val.json
	$(BIN)/python tools/train.py $(DEMO_CONFIG) --work-dir $(DEMO_DIR)
	@set -e; checkpoint=$$(ls -t $(DEMO_DIR)/best_*.pth | head -n 1); echo "best checkpoint: $$checkpoint"; \
	  $(BIN)/python tools/test.py $(DEMO_CONFIG) "$$checkpoint" --work-dir $(DEMO_DIR) --show-dir show_results
	@echo "pictures, ground truth left, prediction right: $$(ls -dt $(DEMO_DIR)/*/show_results | head -n 1)"

test: $(READY)
	$(BIN)/python -m pytest -m 'not slow'

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo 'to look at it: $(BIN)/python -m http.server --directory build/site, then http://localhost:8000'

clean:
	rm -rf $(VENV) $(DEMO_DATA) $(DEMO_DIR) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
