# bash completion for smailctl(8)
_smailctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} word command=
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $word in
		check | clientconfig | config | form | help | mailbox | makecert | migrate | sessions | sockets) command=$word ;;
		esac
	done
	case $prev in
	-config | -out) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
	-from) mapfile -t COMPREPLY < <(compgen -W "dovecot courier" -- "$cur"); return ;;
	-user | mailbox) mapfile -t COMPREPLY < <(compgen -u -- "$cur"); return ;;
	esac
	local words
	case $command in
	'') words="-config check clientconfig config form help mailbox makecert migrate sessions sockets" ;;
	check) words="-user" ;;
	clientconfig) words="-out -domain" ;;
	config) words="-all -example" ;;
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
