#!/usr/bin/env bash
# Makes the secret that the server and coturn share, once; what .env sets goes before. It is read by two
# users in two containers, and the volume it lies on is mounted in no other. Gives the server a place of its own, too, for
# what must outlive it.
set -eu
file=/run/patchcord/turn-secret

if [ -n "${PATCHCORD_TURN_SECRET:-}" ]; then
    printf '%s\n' "$PATCHCORD_TURN_SECRET" >"$file"
elif [ ! -s "$file" ]; then
    head -c 32 /dev/urandom | base64 >"$file"
fi
chmod 444 "$file"
# The user of the server's image.
chown 10001:10001 /var/lib/patchcord
