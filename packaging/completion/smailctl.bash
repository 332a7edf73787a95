# bash completion for smailctl(8)
_smailctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} word command=
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $word in
		auth-test | check | clientconfig | config | forget | form | help | kick | mailbox | makecert | migrate | sessions | sockets | version | who) command=$word ;;
		esac
	done
	case $prev in
	-config | -out) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
	-service) mapfile -t COMPREPLY < <(compgen -W "imaps pop3s submissions" -- "$cur"); return ;;
	-from) mapfile -t COMPREPLY < <(compgen -W "dovecot courier" -- "$cur"); return ;;
	-user | mailbox | kick | forget) mapfile -t COMPREPLY < <(compgen -u -- "$cur"); return ;;
	esac
	local words
	case $command in
	'') words="-config auth-test check clientconfig config forget form help kick mailbox makecert migrate sessions sockets version who" ;;
	check) words="-user" ;;
	clientconfig) words="-out -domain" ;;
	config) words="-all -example" ;;
	auth-test) mapfile -t COMPREPLY < <(compgen -W "-service" -- "$cur"; compgen -u -- "$cur"); return ;;
	sessions) words="-json" ;;
	form) words="resident per-connection" ;;
	mailbox) words="list status verify rebuild" ;;
	migrate) mapfile -t COMPREPLY < <(compgen -W "-from -dry-run -list" -- "$cur"; compgen -u -- "$cur"); return ;;
	sockets) words="imaps pop3s submissions imap pop3 submission" ;;
	makecert) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
	*) words= ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _smailctl smailctl
