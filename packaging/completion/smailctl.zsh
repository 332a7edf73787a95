#compdef smailctl
# zsh completion for smailctl(8)
_arguments \
	'-config[configuration file]:file:_files' \
	'1:command:((auth-test\:"log in as a client would" check\:"what stops users from logging in" clientconfig\:"what users need to set up their clients" config\:"the settings in force" forget\:"drop recent logins" form\:"one listener for each port, or one unit for each connection" help\:"the commands" kick\:"end sessions" mailbox\:"folders of a user" makecert\:"a self-signed certificate" migrate\:"take over what the server before knew" sessions\:"who has logged in" sockets\:"who listens on the ports of mail" version\:"which smail this is" who\:"who is connected"))' \
	'*::argument:->argument'
case $words[1] in
check) _arguments '-user[look at this account too]:user:_users' ;;
clientconfig) _arguments '-out[folder to write]:folder:_files -/' '*-domain[mail domain]:domain:' ;;
config) _arguments '-all[defaults too]' '-example[a commented file]' ;;
auth-test) _arguments '-service[service to log in to]:service:(imaps pop3s submissions)' '1:user:_users' ;;
kick | forget) _users ;;
sessions) _arguments '-json[for programs]' ;;
form) _values form resident per-connection ;;
makecert) _files ;;
mailbox) _arguments '1:user:_users' '2:what:(list status verify rebuild)' ;;
migrate) _arguments '-from[the server before]:server:(dovecot courier)' '-dry-run[change nothing]' '-list[all messages]' '1:user:_users' ;;
sockets) _values service imaps pop3s submissions imap pop3 submission ;;
esac
