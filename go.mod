module smail

go 1.25.0

// The runtime would go on reading cgroup files in the background, which a process
// that may open no file must not do. It would name its memory with prctl(2), which
// the front's filter refuses.
godebug (
	containermaxprocs=0
	decoratemappings=0
	updatemaxprocs=0
)

require (
	codeberg.org/emersion/go-scfg v0.1.0
	github.com/coreos/go-systemd/v22 v22.7.0
	github.com/emersion/go-imap/v2 v2.0.0-beta.8
	github.com/emersion/go-maildir v0.6.0
	github.com/emersion/go-smtp v0.25.1
	github.com/landlock-lsm/go-landlock v0.10.1
	github.com/msteinert/pam/v2 v2.1.0
	golang.org/x/sys v0.40.0
	golang.org/x/text v0.36.0
)

require (
	github.com/emersion/go-message v0.18.2 // indirect
	github.com/emersion/go-sasl v0.0.0-20241020182733-b788ff22d5a6 // indirect
	kernel.org/pub/linux/libs/security/libcap/psx v1.2.77 // indirect
)
