#!/usr/bin/env bash
# Asks the server's admin door whether it is ready to serve; bash alone, the image has nothing else.
exec 3<>"/dev/tcp/127.0.0.1/${PATCHCORD_ADMIN_LISTEN##*:}" || exit 1
printf 'GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
read -r -t 2 answer <&3
[[ $answer == 'HTTP/1.1 200'* ]]
