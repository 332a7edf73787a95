# fish completion for smailctl(8)
set -l commands check clientconfig config form help mailbox makecert migrate sessions sockets
complete -c smailctl -f
complete -c smailctl -o config -r -F -d 'Configuration file'
complete -c smailctl -n "not __fish_seen_subcommand_from $commands" -a check -d 'What stops users from logging in'
complete -c smailctl -n "not __fish_seen_subcommand_from $commands" -a clientconfig -d 'What users need to set up their clients'
complete -c smailctl -n "not __fish_seen_subcommand_from $commands" -a config -d 'The settings in force'
complete -c smailctl -n "not __fish_seen_subcommand_from $commands" -a form -d 'One listener for each port, or one unit for each connection'
complete -c smailctl -n "not __fish_seen_subcommand_from $commands" -a help -d 'The commands'
complete -c smailctl -n "not __fish_seen_subcommand_from $commands" -a mailbox -d "A user's folders"
complete -c smailctl -n "not __fish_seen_subcommand_from $commands" -a makecert -d 'A self-signed certificate'
complete -c smailctl -n "not __fish_seen_subcommand_from $commands" -a migrate -d 'Take over what the server before knew'
complete -c smailctl -n "not __fish_seen_subcommand_from $commands" -a sessions -d 'Who has logged in'
complete -c smailctl -n "not __fish_seen_subcommand_from $commands" -a sockets -d 'Who listens on the ports of mail'
complete -c smailctl -n '__fish_seen_subcommand_from check' -o user -x -a '(__fish_complete_users)' -d 'Look at this account too'
complete -c smailctl -n '__fish_seen_subcommand_from clientconfig' -o out -r -a '(__fish_complete_directories)' -d 'Folder to write'
complete -c smailctl -n '__fish_seen_subcommand_from clientconfig' -o domain -x -d 'Mail domain'
complete -c smailctl -n '__fish_seen_subcommand_from config' -o all -d 'Defaults too'
complete -c smailctl -n '__fish_seen_subcommand_from config' -o example -d 'A commented file'
complete -c smailctl -n '__fish_seen_subcommand_from form' -a 'resident per-connection'
complete -c smailctl -n '__fish_seen_subcommand_from makecert' -F
complete -c smailctl -n '__fish_seen_subcommand_from mailbox' -a '(__fish_complete_users) list status verify rebuild'
complete -c smailctl -n '__fish_seen_subcommand_from migrate' -o from -x -a 'dovecot courier' -d 'The server before'
complete -c smailctl -n '__fish_seen_subcommand_from migrate' -o dry-run -d 'Change nothing'
complete -c smailctl -n '__fish_seen_subcommand_from migrate' -o list -d 'All messages'
complete -c smailctl -n '__fish_seen_subcommand_from migrate' -a '(__fish_complete_users)'
complete -c smailctl -n '__fish_seen_subcommand_from sockets' -a 'imaps pop3s submissions imap pop3 submission'
