# smail. `make run` tries it, `make test` tests it; see README.md.

GO      ?= go
PREFIX  ?= /usr
DESTDIR ?=
LIBEXEC  = $(DESTDIR)$(PREFIX)/libexec/smail
STATIC   = smail-front smail-imap smail-pop3 smail-submit smailctl
BUILD    = $(GO) build -trimpath -ldflags "-s -w"

.PHONY: build run test bench install clean vet

build:
	@packaging/deps build
	@mkdir -p bin
	CGO_ENABLED=0 $(BUILD) -o bin/ $(addprefix ./cmd/,$(STATIC))
	CGO_ENABLED=1 $(BUILD) -o bin/ ./cmd/smaild

run: build
	@$(GO) build -o bin/ ./internal/demo
	@exec bin/demo

vet:
	$(GO) vet ./...
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt would change:"; gofmt -l $$(git ls-files '*.go'); exit 1; }

test: build vet
	@packaging/deps test
	$(GO) test -count=1 ./...

bench: build
	@bench/run $(BENCHFLAGS)

install: build
	install -d $(LIBEXEC) $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)/etc/smail
	install -m 0755 bin/smaild bin/smailctl $(DESTDIR)$(PREFIX)/sbin/
	install -m 0755 bin/smail-front $(LIBEXEC)/
	install -m 0711 bin/smail-imap bin/smail-pop3 bin/smail-submit $(LIBEXEC)/
	install -d $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 0644 man/smaild.8 $(DESTDIR)$(PREFIX)/share/man/man8/

clean:
	rm -rf bin
