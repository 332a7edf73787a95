# smail: see README.md. The two commands are "make run" and "make test".

GO       ?= go
PREFIX   ?= /usr
SYSCONF  ?= /etc
LIBEXEC   = $(PREFIX)/libexec/smail
STATIC    = smail-front smail-imap smail-pop3 smail-submit smailctl
GOFLAGS_BUILD = -trimpath -ldflags "-s -w"

build: need-libpam
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build $(GOFLAGS_BUILD) -o bin/ $(addprefix ./cmd/,$(STATIC))
	CGO_ENABLED=1 $(GO) build $(GOFLAGS_BUILD) -o bin/ ./cmd/smaild
	@chmod 0711 bin/smail-imap bin/smail-pop3 bin/smail-submit bin/smail-front

.PHONY: build need-libpam
need-libpam:
	@true
