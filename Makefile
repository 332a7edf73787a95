# smail. `make run` tries it, `make test` tests it; see README.md.

GO      ?= go
PREFIX  ?= /usr
SBINDIR ?= $(PREFIX)/sbin
DESTDIR ?=
OUT     ?= dist
LIBEXEC  = $(DESTDIR)$(PREFIX)/libexec/smail
STATIC   = smail-front smail-imap smail-pop3 smail-submit smail-policyd smailctl
BUILD    = $(GO) build -trimpath -buildvcs=false -ldflags "-s -w -buildid="
# The one that is root's links C libraries: it may as well have what hardens C.
MONITOR  = $(GO) build -trimpath -buildvcs=false -buildmode=pie -ldflags "-s -w -buildid= -extldflags '-Wl,-z,relro,-z,now'"
INSTALL  = install -D -p -m
ETC      = $(DESTDIR)/etc
SHARE    = $(DESTDIR)$(PREFIX)/share
LIB      = $(DESTDIR)$(PREFIX)/lib
# Which of packaging/pam.d fits this host.
FAMILY  ?= $(if $(wildcard /etc/pam.d/common-auth),debian,fedora)

.PHONY: build run test crashtest fuzz race vulncheck systemtest bench install deb rpm clean vet

build:
	@packaging/deps build
	@mkdir -p bin
	CGO_ENABLED=0 $(BUILD) -o bin/ $(addprefix ./cmd/,$(STATIC))
	CGO_ENABLED=1 $(MONITOR) -o bin/ ./cmd/smaild

run: build
	@$(GO) build -o bin/ ./internal/demo
	@exec bin/demo

vet:
	$(GO) vet ./...
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt would change:"; gofmt -l $$(git ls-files '*.go'); exit 1; }

test: build vet
	@packaging/deps test
	$(GO) test -count=1 -timeout 40m ./...

# Every system call of everything that changes mail, killed or failing: ten minutes.
crashtest: build
	@packaging/deps test
	SMAIL_TEST_ALL=1 SMAIL_CRASHTEST=1 $(GO) test -count=1 -timeout 60m -v -run 'Anywhere|OnTheDisk|Converge' ./test

# Every parser of a stranger's bytes, and whole sessions: FUZZTIME each, those of FUZZ.
FUZZTIME ?= 10m
fuzz: build
	@test/fuzz $(FUZZTIME) '$(FUZZ)'

# Everything that can run without root, under the race detector.
race:
	@packaging/deps build
	CGO_ENABLED=1 $(GO) test -race -count=1 -timeout 20m $$($(GO) list ./... | grep -v /test)

# Known faults of what is built in; asks the Go project's database.
vulncheck:
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

# Boots Debian roots and installs the packages there; as root, some five minutes.
systemtest:
	@packaging/deps system
	$(GO) vet -tags systemtest ./test/system
	$(GO) test -count=1 -timeout 30m -tags systemtest ./test/system

bench: build
	@bench/run $(BENCHFLAGS)

# Everything that a host needs; what is in /etc and there already stays.
install: build
	$(INSTALL) 0755 bin/smaild $(DESTDIR)$(SBINDIR)/smaild
	$(INSTALL) 0711 bin/smailctl $(DESTDIR)$(SBINDIR)/smailctl
	for p in front imap pop3 submit policyd; do $(INSTALL) 0711 bin/smail-$$p $(LIBEXEC)/smail-$$p; done
	install -d $(LIB)/systemd/system $(ETC)/smail
	FAMILY=$(FAMILY) units/make $(LIB)/systemd/system $(SBINDIR) $(PREFIX)/libexec/smail
	$(INSTALL) 0644 packaging/sysusers.conf $(LIB)/sysusers.d/smail.conf
	$(INSTALL) 0644 packaging/tmpfiles.conf $(LIB)/tmpfiles.d/smail.conf
	test -e $(ETC)/smail/smail.conf || bin/smailctl config -example >$(ETC)/smail/smail.conf
	test $(PREFIX) = /usr || grep -q ^libexec_dir $(ETC)/smail/smail.conf || echo libexec_dir $(PREFIX)/libexec/smail >>$(ETC)/smail/smail.conf
	test -e $(ETC)/pam.d/smail || $(INSTALL) 0644 packaging/pam.d/smail.$(FAMILY) $(ETC)/pam.d/smail
	$(INSTALL) 0644 packaging/firewalld/smail.xml $(LIB)/firewalld/services/smail.xml
	$(INSTALL) 0644 packaging/completion/smailctl.bash $(SHARE)/bash-completion/completions/smailctl
	$(INSTALL) 0644 packaging/completion/smailctl.zsh $(SHARE)/zsh/site-functions/_smailctl
	$(INSTALL) 0644 packaging/completion/smailctl.fish $(SHARE)/fish/vendor_completions.d/smailctl.fish
	for m in man/*.[1578]; do $(INSTALL) 0644 $$m $(SHARE)/man/man$${m##*.}/$${m##*/}; done

deb:
	@packaging/deps package
	@packaging/build-deb $(OUT)

rpm:
	@packaging/deps package
	@packaging/build-rpm $(OUT)

clean:
	rm -rf bin dist
