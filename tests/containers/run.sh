#!/usr/bin/env bash
# Does with the containers what a person does: builds and starts them, looks in with grpcurl, chats between
# two of them directly and through the relay, stops them. Each line "ok" is something that was looked at.
# Everything it makes has a project name of its own and is taken down at the end. Exit code 77: there is no
# docker daemon here and none can be started.
set -euo pipefail
cd "$(dirname "$0")/../.."

# The lowest common denominator, and the only builder that takes local images as they are.
export DOCKER_BUILDKIT=0 COMPOSE_PROJECT_NAME=patchcord-test-$$
grpcurl=${GRPCURL:-grpcurl}
scratch=$(mktemp -d)
dockerd_pid=
checks=0

if docker compose version >/dev/null 2>&1; then
    compose() { docker compose "$@"; }
else
    compose() { docker-compose "$@"; }
fi

ok() {
    checks=$((checks + 1))
    echo "ok $checks - $*"
}

fail() {
    echo "not ok - $*" >&2
    for file in "$scratch"/*.{out,log}; do
        [[ -s $file ]] && printf -- '--- %s\n' "$(basename "$file")" && tail -n 40 "$file"
    done >&2
    compose logs --tail 40 server coturn >&2 || true
    exit 1
}

# wait_for SECONDS WHAT COMMAND…: until the command succeeds.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < deadline)) || fail "no $what in time"
        sleep 0.2
    done
}

take_down() {
    local status=$? pid
    for pid in $(jobs -p); do
        [[ $pid == "$dockerd_pid" ]] || kill "$pid" 2>/dev/null || true
    done
    if ((status != 77)); then
        compose down --volumes --remove-orphans --timeout 5 >"$scratch/down" 2>&1 || cat "$scratch/down" >&2
    fi
    if [[ -n $dockerd_pid ]]; then
        kill "$dockerd_pid" 2>/dev/null || true
        wait "$dockerd_pid" || true
    fi
    rm -rf "$scratch"
    exit "$status"
}
trap take_down EXIT
trap 'exit 143' TERM

start_daemon() {
    docker info >/dev/null 2>&1 && return
    local mtu
    mtu=$(cat "/sys/class/net/$(ip -o route show default 2>/dev/null | sed -n '1s/.* dev \([^ ]*\).*/\1/p')/mtu" || echo 1500)
    echo "starting dockerd"
    dockerd --mtu "$mtu" >"$scratch/dockerd.log" 2>&1 &
    dockerd_pid=$!
    local deadline=$((SECONDS + 60))
    until docker info >/dev/null 2>&1; do
        if ! kill -0 "$dockerd_pid" 2>/dev/null || ((SECONDS >= deadline)); then
            tail -n 5 "$scratch/dockerd.log" >&2
            echo "no docker daemon answers, and this one does not start" >&2
            exit 77
        fi
        sleep 0.2
    done
}

health_is() {
    [[ $(docker inspect --format '{{.State.Health.Status}}' "$(compose ps -q "$1")") == "$2" ]]
}

build_and_start() {
    # Named, because a service with a profile is left out otherwise; a person's `run` builds it when needed.
    compose build server tui-client >"$scratch/build.log" 2>&1 || fail "compose build"
    ok "compose build: $(docker image ls --format '{{.Repository}} {{.Size}}' | grep -E '^patchcord(-server)? ' | tr '\n' ' ')"
    compose up -d >"$scratch/up.log" 2>&1 || fail "compose up"
    wait_for 60 "healthy server" health_is server healthy
    wait_for 60 "healthy coturn" health_is coturn healthy
    ok "server and coturn are healthy"
    [[ $(compose exec -T server id -u) == 10001 ]] || fail "the server runs as root"
    ok "the server is not root"
    public=$(compose port server 50051) admin=$(compose port server 50052)
    public=127.0.0.1:${public##*:}
    [[ $admin == 127.0.0.1:* ]] || fail "the admin door is published on $admin"
    ok "the admin door is published on the loopback only"
}

look_in() {
    "$grpcurl" -plaintext "$public" list >"$scratch/public.out" || fail "list $public"
    grep -q '^patchcord.v1.SignalingService$' "$scratch/public.out" || fail "no SignalingService"
    ! grep -q RoomService "$scratch/public.out" || fail "RoomService on the public door"
    "$grpcurl" -plaintext "$admin" describe patchcord.v1.RoomService >"$scratch/admin.out" || fail "describe"
    grep -q 'rpc ListRooms' "$scratch/admin.out" || fail "no ListRooms"
    ok "grpcurl lists and describes through the published ports"
}

# client NAME ARGUMENT…: a container of the terminal client, its input held open by NAME's descriptor.
client() {
    local name=$1 descriptor
    shift
    mkfifo "$scratch/$name"
    (
        # Another client's input must not stay open because this one holds it too.
        for descriptor in "${inputs[@]}"; do
            exec {descriptor}>&-
        done
        compose run --rm -T tui-client join "$@" --json --name "$name"
    ) <"$scratch/$name" >"$scratch/$name.out" 2>"$scratch/$name.log" &
    pids[$name]=$!
    exec {descriptor}>"$scratch/$name"
    inputs[$name]=$descriptor
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

# ended PID: waits for it, with its status.
ended() {
    wait_for 30 "end of process $1" gone "$1"
    wait "$1"
}

heard() {
    grep -q "\"type\":\"$2\".*$3" "$scratch/$1.out"
}

say() {
    echo "{\"type\":\"message\",\"text\":\"$2\"}" >&"${inputs[$1]}"
}

# chat ROOM PATH ARGUMENT…: two containers talk both ways, over a direct or a relayed connection.
chat() {
    local room=$1 path=$2 name descriptor
    shift 2
    declare -A pids=() inputs=()
    client "Alice-$path" "$room" "$@"
    wait_for 30 "joined" heard "Alice-$path" joined ""
    client "Bob-$path" "$room" "$@"
    for name in Alice Bob; do
        wait_for 60 "open channel" heard "$name-$path" channel_open ""
    done
    "$grpcurl" -plaintext -d "{\"name\":\"$room\"}" "$admin" patchcord.v1.RoomService/GetRoom >"$scratch/room.out" ||
        fail "GetRoom"
    [[ $(grep -c '"displayName": "\(Alice\|Bob\)-' "$scratch/room.out") == 2 ]] || fail "not both are in $room"
    say "Alice-$path" "over to you"
    wait_for 30 "message" heard "Bob-$path" message "over to you"
    say "Bob-$path" "and back"
    wait_for 30 "message" heard "Alice-$path" message "and back"
    wait_for 30 "receipt" heard "Alice-$path" receipt delivered
    for name in Alice Bob; do
        wait_for 30 "$path path" heard "$name-$path" connection "\"path\":\"$path\""
        descriptor=${inputs[$name-$path]}
        exec {descriptor}>&-
        ended "${pids[$name-$path]}" || fail "$name ended with status $?"
    done
    ok "two containers chat, $path"
}

# The command of the README as a person runs it: on a terminal, with a screen.
screen() {
    local command pid keys
    command="stty cols 80 rows 24; $(declare -f compose); compose run --rm tui-client join lobby --name Eve"
    mkfifo "$scratch/keys"
    SHELL=/bin/bash script -qfec "$command" "$scratch/screen.out" <"$scratch/keys" >/dev/null 2>&1 &
    pid=$!
    exec {keys}>"$scratch/keys"
    # The first key waits for the first picture, whose first line is this.
    wait_for 60 "screen" grep -q '#lobby .*Eve' "$scratch/screen.out"
    printf '/quit\r' >&$keys
    ended "$pid" || fail "the screen ended with status $?"
    exec {keys}>&-
    ok "docker compose run --rm tui-client join lobby draws its screen and quits"
}

relay() {
    local secret address server_address
    secret=$(compose exec -T coturn cat /run/patchcord/turn-secret)
    # From its loopback it would relay on its loopback, which it refuses.
    address=$(compose exec -T coturn hostname -i | tr -d '\r')
    server_address=$(compose exec -T server hostname -i | tr -d '\r')
    local uclient=(compose exec -T coturn timeout 30 turnutils_uclient -u check -n 5 -c)
    "${uclient[@]}" -y -m 2 -W "$secret" "$address" >"$scratch/relay.out" 2>&1 || fail "relay"
    grep -q 'Total lost packets 0 ' "$scratch/relay.out" || fail "relay loses"
    ok "a credential made from the shared secret relays between two clients"
    ! "${uclient[@]}" -y -m 1 -W "not-$secret" "$address" >"$scratch/relay.out" 2>&1 || fail "any secret will do"
    grep -q 'Cannot complete Allocation' "$scratch/relay.out" || fail "refused for another reason"
    ok "another secret is refused"
    ! "${uclient[@]}" -m 1 -W "$secret" -e "$server_address" "$address" >"$scratch/relay.out" 2>&1 || fail "a way in"
    grep -q '403 (Forbidden IP)' "$scratch/relay.out" || fail "refused for another reason"
    ok "the relay is no way into the containers' network"
}

stop() {
    local id
    id=$(compose ps -q server)
    compose stop --timeout 10 server >"$scratch/stop.log" 2>&1
    [[ $(docker inspect --format '{{.State.ExitCode}}' "$id") == 0 ]] || fail "the server did not stop by itself"
    ok "the server drains and exits with 0 when stopped"
}

start_daemon
tests/containers/stand_ins.sh
build_and_start
look_in
chat lobby direct
chat attic relay --relay-only
screen
relay
stop
echo "containers: $checks passed"
