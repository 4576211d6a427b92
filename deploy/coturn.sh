#!/bin/sh
# Starts coturn in its container: adds to turnserver.conf what is known only here. The secret goes into a
# file that nobody else reads, not on the command line, which everybody can.
set -eu
umask 077

own_address=$(hostname -i | cut -d ' ' -f 1)
configuration=$(mktemp)
cat /etc/patchcord/turnserver.conf >"$configuration"
{
    echo "static-auth-secret=$(cat /run/patchcord/turn-secret)"
    echo "realm=${TURN_REALM:-patchcord}"
    echo "userdb=$configuration.db"
    # Two peers that both are relayed meet at this server's own address, and nowhere else inside.
    echo "allowed-peer-ip=$own_address"
    if [ -n "${TURN_EXTERNAL_IP:-}" ]; then
        echo "external-ip=$TURN_EXTERNAL_IP/$own_address"
        echo "allowed-peer-ip=$TURN_EXTERNAL_IP"
    fi
} >>"$configuration"
exec turnserver -c "$configuration"
