# Two commands do everything: `make demo` and `make test`. Bare `make` says what else there is.
# System packages come from Debian by apt, Python's into .venv from hash-locked files.

PYTHON  ?= python3
ARCH    ?= amd64
ARCHIVE ?= simulator
ARGS    ?=
# Nearly half of the tests' time is waiting for peers: two more at a time than there are processors, six at most.
WORKERS ?= $(shell processors=$$(nproc); [ $$processors -lt 4 ] && echo $$((processors + 2)) || echo 6)
VENV    := .venv
BIN     := $(VENV)/bin
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# systemd-python is compiled at its installation.
BUILD_PACKAGES := python3-venv python3-dev gcc libc6-dev libsystemd-dev pkg-config
DEMO_PACKAGES  := $(BUILD_PACKAGES) util-linux sane-utils libsane1 libturbojpeg0 libcharls2
TEST_PACKAGES  := $(DEMO_PACKAGES) orthanc dcmtk dicom3tools libgdcm-tools lrzsz openssl chromium \
                  fonts-noto-core fonts-noto-cjk ghostscript netpbm git strace rsyslog rsyslog-gnutls libxml2-utils \
                  systemd udev mount dbus-daemon openssh-server openssh-client age systemd-journal-remote nftables iproute2 \
                  umockdev gir1.2-umockdev-1.0 python3-gi webkit2gtk-driver xvfb \
                  cage xwayland grim xdotool gir1.2-gtk-4.0 gir1.2-webkit-6.0
IMAGE_PACKAGES := $(BUILD_PACKAGES) mmdebstrap debian-archive-keyring util-linux openssl
VM_PACKAGES    := $(TEST_PACKAGES) $(IMAGE_PACKAGES) qemu-system-x86 qemu-utils ovmf e2fsprogs

.DEFAULT_GOAL := help
.PHONY: help demo test screenshots bench crash flash fuzz soak support-test fleet-test image update vm-test lint format lock clean
.PHONY: demo-packages test-packages image-packages vm-packages

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: demo-packages $(VENV)/demo.stamp ## run the box, a hospital and three old machines (ARCHIVE=orthanc: Debian's Orthanc)
	@exec $(BIN)/appliance demo --archive $(ARCHIVE) $(ARGS)

test: test-packages $(VENV)/test.stamp ## run all tests (ARGS="tests/spool -k writer": some of them)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

screenshots: test-packages $(VENV)/test.stamp ## every screen in every language, in .screens (ARGS="--language ja --size 800x480")
	@$(BIN)/python -m tests.screens $(ARGS)

bench: test-packages $(VENV)/test.stamp ## measure: tap to saved, bytes to flash for each byte, memory, sending beside storescu
	@$(BIN)/python -m tests.bench $(ARGS)

crash: test-packages $(VENV)/test.stamp ## prove power cuts: 10,000 states that one could leave (ARGS="--states 500 --seed N")
	@$(BIN)/python -m tests.crash $(ARGS)

soak: test-packages $(VENV)/test.stamp ## a compressed month, 3,000 exams, an hour and more: lost 0, doubled 0 (ARGS="--exams 100 --seed N")
	@$(BIN)/python -m tests.soak $(ARGS)

fuzz: test-packages $(VENV)/test.stamp ## fuzz every decoder, half a minute each (ARGS="--seconds 600 pcl xmodem-ymodem": some)
	@$(BIN)/python -m tests.fuzz $(ARGS)

flash: test-packages $(VENV)/test.stamp ## prove bad flash: each operation fails, in six ways (ARGS="--every 7 --kind erofs", "--seed N")
	@$(BIN)/python -m tests.flash $(ARGS)

support-test: test-packages $(VENV)/test.stamp ## prove that no change locks support out: fifty bad configurations over real SSH
	@SUPPORT_ALL=1 $(BIN)/python -m pytest -p no:xdist tests/support $(ARGS)

fleet-test: test-packages $(VENV)/test.stamp ## prove the fleet: twenty boxes behind real sshd, by Ansible, one of which fails
	@FLEET_BOXES=$${FLEET_BOXES:-20} $(BIN)/python -m pytest -p no:xdist -s tests/fleet $(ARGS)

image: image-packages $(VENV)/base.stamp ## build the box's image (ARCH=amd64: for x86-64 and for the virtual machine); it says where
	@$(SUDO) $(BIN)/python image/build.py $(ARCH)

update: image-packages $(VENV)/base.stamp ## make the signed file that brings today's sources onto a box that runs; it says where
	@$(SUDO) $(BIN)/python image/bundle.py $(ARCH)

vm-test: vm-packages $(VENV)/test.stamp ## run the box's image in a virtual machine, and its cases (ARGS="-k usb": some of them)
	@mkdir -p .cache/vm
	@for update in "" "--edition next" "--edition next --broken" "--edition next --broken --compatible appliance-arm64"; do \
	  $(SUDO) $(BIN)/python image/bundle.py amd64 $$update || exit; \
	done
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -o python_files='case_*.py' -o timeout=7200 --durations=0 tests/vm $(ARGS)

lint: $(VENV)/test.stamp ## ruff, mypy and the rooms' import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

format: $(VENV)/test.stamp ## let ruff write the files as it likes them
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

clean: ## remove the virtual environment, the demo's state and what was built
	rm -rf $(VENV) .demo
	$(SUDO) rm -rf .cache

demo-packages:
	@$(call install,$(DEMO_PACKAGES) $(if $(filter orthanc,$(ARCHIVE)),orthanc))

test-packages:
	@$(call install,$(TEST_PACKAGES))

image-packages:
	@$(call install,$(IMAGE_PACKAGES))

vm-packages:
	@$(call install,$(VM_PACKAGES))

# Installs those of the given packages that are missing, and says nothing when none is.
define install
missing=""; for package in $(1); do \
  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
done; \
if [ -n "$$missing" ]; then \
  echo "Installing$$missing"; \
  $(SUDO) apt-get -qq update && \
  $(SUDO) env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install --no-install-recommends $$missing >/dev/null; \
fi
endef

$(VENV)/base.stamp: image/build.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r image/build.lock
	@touch $@

$(VENV)/demo.stamp: $(VENV)/base.stamp image/python.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation -r image/python.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/test.stamp: $(VENV)/demo.stamp tests/python.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation -r tests/python.lock
	@touch $@

# Needs uv (`pip install uv`); the files name no index, and every file in them by its hash.
LOCK := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11
lock: ## write the lock files anew from pyproject.toml
	printf 'setuptools>=77\nwheel\n' | $(LOCK) - -o image/build.lock
	$(LOCK) pyproject.toml -o image/python.lock
	$(LOCK) --extra test -c image/python.lock pyproject.toml -o tests/python.lock
