# Every target works from a fresh clone: what is missing is installed first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VERSION := $(shell sed -n 's/^## \[\([0-9][^]]*\)\].*/\1/p' CHANGELOG.md | head -n 1)
LDFLAGS := -s -w -buildid= -X github.com/archipelago-os/archipelago/generator/compile.Release=$(VERSION)
GO_BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='$(LDFLAGS)'
PROGRAMS := archgen healthd engine-proxy

# Tools are built once a version, outside the tree, so that a clone finds them.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/archipelago
GOLANGCI := $(CACHE)/golangci-lint-v2.15.0
GOFUMPT := $(CACHE)/gofumpt-v0.12.0
FUZZTIME ?= 30s

# The Debian release of the test machines: trixie has Podman 5.4, forky 5.8.
SUITE ?= $(or $(ARCHIPELAGO_HOST_SUITE),trixie)

.PHONY: layers help setup build test unit race model model-test lint fmt generate check golden corpus fuzz cover bench demo machine e2e e2e-podman scale install uninstall compile check-package dist deb rpm clean

help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## Install what building and testing needs (Debian; asks for no input)
	@test/setup

build: setup ## Build bin/archgen, bin/healthd and bin/engine-proxy
	@$(MAKE) --no-print-directory compile

compile: # what a package's build runs: it installs nothing and needs no network
	$(GO_BUILD) -o bin/ $(addprefix ./cmd/,$(PROGRAMS))
	@$(MAKE) --no-print-directory bin/sbom.spdx.json bin/LICENSES-OF-LIBRARIES # root, who installs, may have no Go

check-package: # what a package's build tests: what needs nothing but Go
	go test ./generator/... ./manifests/... ./units/... ./healthd/... ./cmd/engine-proxy/... ./packaging/...

# The tests on forky run beside those on trixie, which leave a third of two cores idle. What they print
# follows at the end.
test: setup lint race model-test build machine ## Everything: lint, unit tests under the race detector, the test machine
	@test/setup packages
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	{ $(MAKE) --no-print-directory machine SUITE=forky && $(E2E_FORKY) -parallel 1; } >"$$log" 2>&1 & \
	trixie=0; ARCHIPELAGO_HOST_SUITE=trixie $(E2E_ALL) -parallel 5 || trixie=$$?; \
	forky=0; wait $$! || forky=$$?; cat "$$log"; exit $$((trixie | forky))

unit: setup ## Unit tests, fast
	go test ./...

race: setup ## Unit tests under the race detector in random order
	go test -race -shuffle=on -timeout 30m ./...

model: setup ## A million random schedules of faults against passes, and against updates
	MODEL_SCHEDULES=1000000 go test -count=1 -timeout 60m -run TestModel ./units/reconcile ./units/update

model-test: setup
	MODEL_SCHEDULES=100000 go test -count=1 -timeout 20m -run TestModel ./units/reconcile ./units/update

lint: setup $(GOLANGCI) ## Linters, formatting, layers, stale generated files
	$(GOLANGCI) run --build-tags e2e,live,scale ./...
	$(GOLANGCI) fmt --diff ./...
	go fix -diff ./...
	go run ./manifests/internal/reference -check
	go test ./test/words
	go test ./cmd/archgen -run '^TestManualPage$$'

layers: ## Print the packages, the lowest first, and what each imports
	@go run ./test/layers/show

fmt: setup $(GOFUMPT) ## Format the sources
	$(GOFUMPT) -w cmd generator healthd manifests test units

generate: setup ## Regenerate docs/manifest.md, docs/diagnostics.md, docs/catalog.md, docs/rights.md, the JSON Schema, manual pages
	go run ./manifests/internal/reference
	go test ./cmd/archgen -run '^TestManualPage$$' -update

check: test ## What CI runs

corpus: ## Import the Compose projects below CORPUS=DIR and count what is lost, by code
	go test -count=1 -v -run '^TestStores$$' ./manifests/importer/compose -corpus '$(abspath $(CORPUS))'

golden: setup ## Rewrite the expected output of golden tests; read the diff afterwards
	go test $$(git grep -l 'flag.Bool("update"' -- '*_test.go' | xargs dirname | sort -u | sed 's|^|./|') -update

fuzz: setup ## Fuzz every target for FUZZTIME (30s)
	@go list ./... | while read -r package; do \
	  { go test -list '^Fuzz' "$$package" | grep '^Fuzz' || true; } | while read -r target; do \
	    echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package"; \
	  done; done

cover: setup ## Test coverage by package
	go test -coverpkg=./... -coverprofile=coverage.out ./...
	go tool cover -func=coverage.out | tail -n 1

bench: setup build ## Measure, and rewrite docs/benchmarks.md
	test/bench/run

demo: setup build ## Boot a machine, start a Bitcoin node, break it, watch it recover
	test/demo/run

# The base system and each set of images that a test or the demo asks for.
machine: setup ## Build what test machines are made of, for SUITE (trixie, forky)
	@for images in all noshell bitcoin-knots,nginx; do test/host/host build --suite $(SUITE) --images $$images >/dev/null; done

E2E = go test -tags e2e -count=1 -timeout 45m
E2E_ALL = $(E2E) ./test/host ./test/e2e ./test/package
# Keys and values, what archgen reads of containers and secrets without Podman, networks, Podman's
# API, adoption, import of containers, removal.
E2E_FORKY = ARCHIPELAGO_HOST_SUITE=forky $(E2E) ./test/e2e -run '^(TestSystemd|TestValuesArriveUnchanged|TestPodmanAgreesWithConform|TestScripts)$$/^(archgen_render.*|adopt|doctor|engine|import-container|isolation|machine|objects|remove)$$'

# Two cores are idle for a third of the time with four machines.
e2e: setup build machine ## The real thing: systemd and rootless Podman on the test machine, of SUITE
	@test/setup packages
	ARCHIPELAGO_HOST_SUITE=$(SUITE) $(E2E_ALL) -parallel 5

e2e-podman: setup build ## The part of e2e that depends on the version of Podman, with forky's
	@$(MAKE) --no-print-directory machine SUITE=forky
	$(E2E_FORKY) -parallel 5

scale: setup build machine ## Three hundred apps on one test machine; half an hour, other work spoils it
	go test -tags e2e,scale -count=1 -timeout 2h -v -run '^TestScale$$' ./test/e2e

# What is installed, and what uninstall removes: mode, place below PREFIX (a
# folder ends in /), sources.
PREFIX ?= /usr
define newline


endef
CATALOG_FILES := $(subst /* ,/*$(newline),$(foreach dir,$(notdir $(wildcard manifests/catalog/*.files)),644 share/archipelago/catalog/$(dir)/ manifests/catalog/$(dir)/*))
ZSHDIR ?= share/zsh/site-functions
define INSTALLED
755 bin/ bin/archgen
755 libexec/archipelago/ bin/healthd bin/engine-proxy packaging/each-user
644 lib/systemd/user/ packaging/systemd/user/*
644 lib/systemd/user-preset/ packaging/systemd/user-preset/*
644 lib/systemd/system/ packaging/systemd/system/*
644 lib/systemd/system-preset/ packaging/systemd/system-preset/*
644 lib/systemd/system/user@.service.d/ packaging/systemd/user@.service.d/*
644 lib/systemd/catalog/ packaging/journal/archipelago.catalog
644 lib/sysctl.d/ packaging/sysctl.d/*
644 share/dbus-1/interfaces/ healthd/bus/org.archipelago.Manager1.xml
644 share/dbus-1/services/ packaging/dbus/org.archipelago.Manager1.service
644 share/dbus-1/system-services/ packaging/dbus/org.archipelago.Manager1.service
644 share/dbus-1/system.d/ packaging/dbus/org.archipelago.Manager1.conf
644 share/archipelago/catalog/ manifests/catalog/*.yaml
$(CATALOG_FILES)
644 share/archipelago/manifest.schema.json manifests/schema.json
644 share/bash-completion/completions/archgen bin/completion.bash
644 share/fish/vendor_completions.d/archgen.fish bin/completion.fish
644 $(ZSHDIR)/_archgen bin/completion.zsh
644 share/man/man1/ packaging/man/*.1
644 share/man/man5/ packaging/man/*.5
644 share/man/man7/ packaging/man/*.7
644 share/man/man8/ packaging/man/*.8
644 share/doc/archipelago/ README.md CHANGELOG.md docs/*.md bin/sbom.spdx.json
644 share/licenses/archipelago/ LICENSE bin/LICENSES-OF-LIBRARIES
endef
export INSTALLED
each_installed = printf '%s\n' "$$INSTALLED" | while read -r mode place sources; do for file in $$sources; do \
	to="$(DESTDIR)$(PREFIX)/$$place"; case $$place in */) to="$$to$$(basename "$$file")" ;; esac;

install: $(addprefix bin/,$(PROGRAMS)) bin/completion.bash bin/completion.fish bin/completion.zsh bin/sbom.spdx.json bin/LICENSES-OF-LIBRARIES ## Install below DESTDIR and PREFIX (/usr)
	@$(each_installed) install -D -m "$$mode" "$$file" "$$to"; done; done
	@[ '$(PREFIX)' = /usr ] || sed -i 's|/usr/bin/archgen|$(PREFIX)/bin/archgen|; s|/usr/libexec/|$(PREFIX)/libexec/|' \
	  '$(DESTDIR)$(PREFIX)'/lib/systemd/{user,system}/archipelago-*

uninstall: ## Remove what install has put there; apps, their data and settings stay
	@$(each_installed) rm -f "$$to"; done; done
	@for dir in libexec/archipelago $(addprefix share/archipelago/catalog/,$(notdir $(wildcard manifests/catalog/*.files))) share/archipelago/catalog share/archipelago share/doc/archipelago share/licenses/archipelago lib/systemd/system/user@.service.d; do \
	  rmdir --ignore-fail-on-non-empty "$(DESTDIR)$(PREFIX)/$$dir" 2>/dev/null || true; done

$(addprefix bin/,$(PROGRAMS)) &: # only where one is missing: they are built as a user and installed as root
	$(MAKE) build

bin/completion.%: bin/archgen
	$< completion $* >$@

bin/sbom.spdx.json: $(addprefix bin/,$(PROGRAMS))
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) go run ./packaging/sbom -version $(VERSION) $^ >$@

bin/LICENSES-OF-LIBRARIES: $(addprefix bin/,$(PROGRAMS))
	go run ./packaging/sbom -licenses $^ >$@

# Packages are built of a source tarball in a folder of their own, and without
# the network: the same source gives the same bytes wherever that is.
DIST ?= dist
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)

dist: setup ## Source tarball, deb, rpm, checksums and SBOM, in DIST (dist)
	@test/setup packages
	packaging/build $(VERSION) '$(DIST)' source deb rpm sbom checksums

deb: setup ## A Debian package, in DIST
	@test/setup packages
	packaging/build $(VERSION) '$(DIST)' source $@

rpm: setup ## An RPM package, in DIST
	@test/setup packages
	packaging/build $(VERSION) '$(DIST)' source $@

clean: ## Remove what was built and running test machines; caches stay
	rm -rf bin dist coverage.out
	test/host/host down --all

$(GOLANGCI):
	mkdir -p $(CACHE)
	go build -modfile=tools/go.mod -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(GOFUMPT):
	mkdir -p $(CACHE)
	go build -modfile=tools/go.mod -o $@ mvdan.cc/gofumpt
