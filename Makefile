# make demo: everything, from nothing, on real systems. The other commands are in README.md.

PYTHON ?=
HOST ?= 127.0.0.1
PORT ?= 8000
export HOST PORT

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --root-user-action=ignore
BOARD := $(VENV)/.board
TOOLS := $(VENV)/.tools

.PHONY: demo up test lint bench torture vendor install clean

demo: $(BOARD)
	@exec $(BIN)/python -m chaosboard.supervisor --demo

up: $(BOARD)
	@exec $(BIN)/python -m chaosboard.supervisor

test: $(TOOLS)
	@.ci/package chromium chromium 'the browser test'
	@.ci/package docker.io dockerd "the docker driver's tests"
	@.ci/package busybox-static busybox "the docker driver's tests"
	@.ci/package openssh-server sshd 'the tests of the ssh driver'
	@.ci/package stress-ng stress-ng 'the pressure faults'
	@.ci/package systemd systemctl 'the tests of the systemd driver'
	@.ci/package dbus dbus-daemon 'the tests of the systemd driver'
	@.ci/package curl curl 'the tests of the link proxy'
	@.ci/package libnftables1 /usr/lib/$$(uname -m)-linux-gnu/libnftables.so.1 'the tests of the kernel driver'
	@.ci/package iproute2 ip 'the tests of the kernel driver'
	@.ci/package etcd-server etcd 'the lab'
	@.ci/package haproxy haproxy 'the lab'
	@.ci/package nginx-light nginx 'the lab'
	@.ci/package zookeeper /usr/share/java/zookeeper.jar 'the lab'
	@.ci/package ceph-mon ceph-mon 'the lab'
	@.ci/package rabbitmq-server rabbitmq-server 'the lab'
	@.ci/package mariadb-server mariadbd 'the lab'
	@.ci/npm tests/clients
	@BIN=$(BIN) .ci/test $(TESTS)

lint: $(TOOLS)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy engine
	@$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_architecture.py

bench: $(TOOLS)
	@.ci/package nginx-light nginx 'the benches of outages and of the link proxy'
	@.ci/package libnginx-mod-stream /usr/lib/nginx/modules/ngx_stream_module.so 'the bench of the link proxy'
	@.ci/package haproxy haproxy 'the bench of the link proxy'
	@.ci/package redis-server redis-server 'the bench of the link proxy'
	@.ci/package redis-tools redis-benchmark 'the bench of the link proxy'
	@$(BIN)/python -m bench $(ONLY)

torture: $(TOOLS)
	@$(BIN)/python -m tests.torture

vendor:
	@bash static/vendor/fetch.sh

install: $(BOARD)

# What the board needs, and what its tests need besides: each again when its list changes.
$(BOARD): requirements.txt | $(BIN)/python
	@echo "Installing what the board needs into $(VENV) (once; a minute or two)"
	@$(PIP) -r requirements.txt
	@touch $@

$(TOOLS): requirements-dev.txt requirements.txt | $(BIN)/python
	@echo "Installing what the board and its tests need into $(VENV) (once; a minute or two)"
	@$(PIP) -r requirements-dev.txt
	@touch $@

$(BIN)/python:
	@PYTHON="$(PYTHON)" .ci/venv $(VENV)

clean:
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Removed $(VENV) and the caches. The data in var/ stays; remove it by hand."
