# What to type. `make` alone lists the targets; a target's line after ## is its help.

GO ?= go
PYTHON ?= python3
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.7.0
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
TOOLS = $(or $(SAGUAROTA_TOOLS),.tools)

# The race detector needs a C compiler; without one the tests run all the same.
RACE = $(shell command -v "$$($(GO) env CC)" >/dev/null 2>&1 && echo -race)

export CGO_ENABLED ?= 0

.PHONY: help build tools services lib test check gotest pytest wheel cross demo browser powercut bench clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target text; do \
		printf '  make %-8s %s\n' "$$target" "$$text"; done

build: ## the program, bin/saguarota
	$(GO) build -trimpath -o bin/ ./cmd/saguarota

tools: ## MicroPython and mpy-cross for tests and demo, in .tools
	@scripts/tools

services: ## PostgreSQL, an S3 and an ACME server for the tests of the fleet server, in .tools
	@scripts/tools services

lib: tools ## the board's library as .mpy files, in build/mpy/saguarota
	@rm -rf build/mpy
	@mkdir -p build/mpy/saguarota
	@for f in saguarota/*.py; do \
		case $$f in saguarota/py3utils.py) continue ;; esac; \
		name=$${f##*/}; \
		$(TOOLS)/bin/mpy-cross -s "$${name%.py}" -o "build/mpy/saguarota/$${name%.py}.mpy" "$$f" || exit; \
	done

# One architecture of each other system: make cross has them all, which takes minutes more.
test: PLATFORMS = darwin/arm64 windows/amd64
test: tools build lib check cross gotest pytest ## every check and every test

check: ## formatting, vet, staticcheck
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not gofmt's format; run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

# Always anew: go test's cache does not see what the tests' subprocesses read.
gotest: tools services
	CGO_ENABLED=$(if $(RACE),1,0) $(GO) test -count=1 -timeout=20m $(RACE) ./...

pytest:
	$(PYTHON) -m unittest discover -s tests/host -t tests/host

wheel: ## the Python wheel with the program in it, in dist (PLATFORMS=all: one for each)
	scripts/wheel

# Vet takes in the tests, and those of the board need a Unix; so here only what is shipped.
cross: ## build for every platform, and vet what is shipped
	@set -e; for p in $(PLATFORMS); do \
		echo "build and vet for $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build ./...; \
		GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) vet ./cmd/... ./devserver/... ./manifest/... ./release/...; \
	done

demo: tools build ## a board installs two releases, before your eyes
	@$(GO) run ./internal/demo -program bin/saguarota

browser: ## the dashboard in headless Chromium, which has to be installed
	$(GO) test -tags browser ./fleet/dashboard

powercut: tools ## updates of every kind, the power cut at every write (POWERCUT=quick: a sample, all: twice)
	@POWERCUT=$(POWERCUT) $(GO) run ./internal/powercut

bench: tools services ## updates by pack against whole files; a fleet server against an empty one (BENCH=-json: as JSON)
	@$(GO) run ./bench/updates $(BENCH)
	@$(GO) run ./fleet/bench $(BENCH)

clean: ## remove what was built (.tools stays)
	rm -rf bin build dist
