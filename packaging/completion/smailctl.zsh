#compdef smailctl
# zsh completion for smailctl(8)
_arguments \
	'-config[configuration file]:file:_files' \
	'1:command:((check\:"what stops users from logging in" clientconfig\:"what users need to set up their clients" config\:"the settings in force" form\:"one listener for each port, or one unit for each connection" help\:"the commands" makecert\:"a self-signed certificate" sessions\:"who has logged in" sockets\:"who listens on the ports of mail"))' \
	'*::argument:->argument'
case $words[1] in
check) _arguments '-user[look at this account too]:user:_users' ;;
clientconfig) _arguments '-out[folder to write]:folder:_files -/' '*-domain[mail domain]:domain:' ;;
config) _arguments '-all[defaults too]' '-example[a commented file]' ;;
form) _values form resident per-connection ;;
makecert) _files ;;
sockets) _values service imaps pop3s submissions imap pop3 submission ;;
esac
