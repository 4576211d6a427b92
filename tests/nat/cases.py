"""The cases of the NAT laboratory: two clients, each behind its NATs, chat; the path is the expected one by their
own word and by the packets that the networks count. Started by run.sh, with the names of cases or for all.
"""

import json, signal, sys, time, traceback

import doctor, hostile, stun
from network import IMPAIRED, MEASURED, SERVER, Host, Internet, Router
from network import full_cone, port_restricted, symmetric
from programs import STUN_PROBE_PORT, TURN_PORT, Capture, Client, Servers, Unexpected, Watcher, check

JOIN_SECONDS, FINISH_SECONDS = 10, 30
# The client's own deadline is 30 s.
CONNECT_SECONDS = 32
# A client that is on a relay too soon looks for a direct path after 5 s or 10, three times.
SETTLE_SECONDS = 60
# A client asks what is wrong after 3 s, and waits 4 s for an answer.
NAMED_SECONDS = 12

# A peer that vanishes has left after this and the grace time.
DETACHED_SECONDS, GRACE_SECONDS = 12.5, 2

# With the headers of UDP and IP.
STUN_REQUEST_BYTES = 48

# Enough for their bytes to stand out from ICE's and DTLS' own.
TEXTS, TEXT_BYTES = 40, 500

CODE = "7k3m9xqd-acid-acorn-acre"
# In small letters.
OPENLY_TOLD = [b"a=ice-ufrag", b"a=ice-pwd", b"a=fingerprint:sha-256", b"m=application", b"candidate:", b"typ srflx"]

# Texts over a line that loses some: one at a time, as people write. SCTP doubles its timeout with each loss, up to
# 60 s, until something that it sent only once is acknowledged; all at once they may take minutes.
MANY = {"count": 200, "pause": 0.05, "seconds": 240}
OVER_A_BAD_LINE = {"count": 60, "pause": 0.15, "seconds": 300}


class World:
    """The networks and programs of one case."""

    def __init__(self):
        self.hosts, self.clients, self.watchers, self.servers, self.expected_nats = [], [], [], None, []
        self.internet = self.add(Internet())

    def add(self, host):
        self.hosts.append(host)
        return host

    def home(self, number, nat, upstream=None, network=None):
        """A router with this NAT, and one host behind it."""
        router, host = self.add(Router(f"home-{number}")), self.add(Host(f"host-{number}"))
        (upstream or self.internet).serve(router, network or f"11.{number}.0")
        router.lan(f"10.{number}.0", host)
        nat(router, host)
        self.expected_nats.append(MEASURED[nat])
        return router, host

    def homes(self, *nats):
        """One home for each NAT; the hosts in them."""
        return [self.home(number, nat)[1] for number, nat in enumerate(nats, 1)]

    def serve(self, **options):
        self.servers = Servers(self.internet, **options)

    def measure(self, hosts):
        kinds = stun.of_hosts(hosts, SERVER)
        check(kinds == self.expected_nats, f"the NATs are {kinds}, not {self.expected_nats}")
        return kinds

    def join(self, hosts, *options, **room):
        """Joins clients one after the other, so that it is known who offers."""
        for name, host in zip(("ada", "bob"), hosts):
            client = Client(host, name, *options, **room)
            self.clients.append(client)
            client.event("joined", JOIN_SECONDS)
        return self.clients

    def log(self):
        return [line for program in self.clients + self.watchers for line in program.log()] + [
            line for program in (self.servers.programs if self.servers else []) for line in program.log(15)
        ]

    def take_down(self):
        for program in self.clients + self.watchers:
            program.process.kill()
        if self.servers:
            self.servers.stop()
        for host in self.hosts:
            host.remove()


class Row(dict):
    """What a case found, by column."""


def fits(connection, path):
    """Whether packets go between the hosts' own addresses, between those that NATs gave them, or over a relay."""
    if connection["path"] != "direct":
        return path == connection["path"]
    kinds = {connection["local"], connection["remote"]}
    # Without a NAT an address that a check comes from, before it was told, is the host's own.
    return not kinds & {"srflx"} if path == "host" else bool(kinds & {"srflx", "prflx"})


def paths(client):
    return [event for event in client.events("connection", state="connected") if event["path"]]


def opened(clients):
    """Milliseconds from the second `joined` until the channel is open on both sides."""
    begun = max(client.event("joined", JOIN_SECONDS)["at"] for client in clients)
    return (max(client.event("channel_open", CONNECT_SECONDS)["at"] for client in clients) - begun) * 1e3


def exchange(clients, count, seconds, pause=0.0):
    """Each says `count` texts, and all arrive and are receipted. Returns latencies in ms."""
    for _ in range(count):
        for client in clients:
            client.text(f"{client.name} {len(client.sent)} ".ljust(TEXT_BYTES, "."))
        time.sleep(pause)
    latencies = []
    for client, other in (clients, clients[::-1]):
        other.event("message", seconds, number=len(client.sent))
        client.event("receipt", seconds, number=len(client.sent), state="delivered")
        heard = other.events("message")[-count:]
        latencies += [(message["at"] - at) * 1e3 for message, (at, _) in zip(heard, client.sent[-count:])]
    return sorted(latencies)


def once_and_in_order(clients):
    """Holds what was heard and receipted, until the end, against what was said."""
    for client, other in (clients, clients[::-1]):
        said, heard = [text for _, text in client.sent], [message["text"] for message in other.events("message")]
        check(heard == said, f"{other.name} heard {len(heard)} of {len(said)}, {len(set(heard))} of them different")
        receipts = [receipt["id"] for receipt in client.events("receipt", state="delivered")]
        check(receipts == list(range(1, len(said) + 1)), f"{client.name} has receipts for {receipts}")


def counted(world, path, before, count):
    """Holds the clients' word about the path against the bytes that the networks saw."""
    said = 2 * count * TEXT_BYTES
    direct, relayed = (now - then for now, then in zip(traffic(world), before))
    where = f"of {said} bytes said {direct} went from site to site and {relayed} to the servers"
    check((direct > said) == (path == "reflexive"), where)
    check((relayed > said) == (path == "relay"), where)


def traffic(world):
    return world.internet.direct_bytes(), world.internet.relayed_bytes()


def settle(clients, path):
    """Waits until both are on that path."""
    for client in clients:
        client.until(f"{path} path", SETTLE_SECONDS, lambda: paths(client) and fits(paths(client)[-1], path))


def leave(clients):
    for client in clients:
        code, ended = client.finish(FINISH_SECONDS)
        check(code == 0, f"{client.name} ended with {code}")
        check(len(ended) == 1 and ended[0]["undelivered"] == [], f"{client.name} ended {ended}")
    once_and_in_order(clients)


def chat(world, hosts, path, count=TEXTS, seconds=30, pause=0.0, options=(), nats=None, worsen=None, settles=False):
    """Two clients chat over a path of this kind, which they may be on only after a while."""
    nats = nats or world.measure(hosts)
    if worsen:
        worsen()
    clients = world.join(hosts, *options)
    open_ms = opened(clients)
    if settles:
        settle(clients, path)
    before = traffic(world)
    latencies = exchange(clients, count, seconds, pause)
    counted(world, path, before, count)
    leave(clients)
    # Looked at in the end, so that a pair chosen late shows.
    for client in clients:
        chosen = paths(client)[-1:] if settles else paths(client)
        all_fit = bool(chosen) and all(fits(event, path) for event in chosen)
        check(all_fit, f"{client.name} is not on {path}: {[describe(event) for event in chosen]}")
    last = " ".join(describe(paths(client)[-1]) for client in clients)
    denied = any("A peer IP 11." in line for _, line in world.servers.coturn.lines)
    check(not denied, "coturn denied a public peer")
    return Row(nats=nats, path=f"{path} ({last})", open_ms=open_ms, latencies=latencies, texts=2 * count)


def describe(connection):
    return f"{connection.get('local')}-{connection.get('remote')}"


def same_lan(world):
    """Two hosts of one home."""
    world.serve()
    router = world.add(Router("home"))
    hosts = [world.add(Host(name)) for name in ("host-1", "host-2")]
    world.internet.serve(router, "11.1.0")
    router.lan("10.1.0", *hosts)
    port_restricted(router)
    world.expected_nats = [MEASURED[port_restricted]] * 2
    return chat(world, hosts, "host")


def full_cones(world):
    """Nothing is filtered, so that a check over the other's relay may be heard before the other's candidates are known."""
    world.serve()
    return chat(world, world.homes(full_cone, full_cone), "reflexive")


def port_restricted_both(world):
    world.serve()
    return chat(world, world.homes(port_restricted, port_restricted), "reflexive")


def symmetric_and_full_cone(world):
    """What the symmetric one sends gets through, from a port that only then is known: peer-reflexive."""
    world.serve()
    return chat(world, world.homes(symmetric, full_cone), "reflexive")


def symmetric_and_port_restricted(world):
    """Neither can say from which port the other will be let in: the one does not know it, the other checks it."""
    world.serve()
    return chat(world, world.homes(symmetric, port_restricted), "relay")


def symmetric_both(world):
    world.serve()
    return chat(world, world.homes(symmetric, symmetric), "relay")


def double_nat(world):
    """A home behind its provider's NAT, and an ordinary one."""
    world.serve()
    provider = world.add(Router("provider"))
    world.internet.serve(provider, "11.1.0")
    port_restricted(provider)
    _, inner = world.home(1, port_restricted, upstream=provider, network="100.64.1")
    _, outer = world.home(2, port_restricted)
    return chat(world, [inner, outer], "reflexive")


def same_provider(world):
    """Two homes behind one provider's NAT, which does not let customers reach each other by its own address."""
    world.serve()
    provider = world.add(Router("provider"))
    world.internet.serve(provider, "11.1.0")
    port_restricted(provider)
    homes = [world.home(number, port_restricted, provider, f"100.64.{number}") for number in (1, 2)]
    return chat(world, [host for _, host in homes], "relay")


def lossy(world, share, texts):
    """One of the sites has a line that loses that share in each direction."""
    world.serve()
    (router, ada), (_, bob) = world.home(1, port_restricted), world.home(2, port_restricted)
    # The answer of the STUN server may be lost, and then a relay is there first.
    row = chat(world, [ada, bob], "reflexive", **texts, worsen=lambda: router.lose(share), settles=True)
    check(router.lost_packets() > 0, "nothing was lost")
    return row


def loses_5_percent(world):
    return lossy(world, 0.05, MANY)


def loses_20_percent(world):
    return lossy(world, 0.20, OVER_A_BAD_LINE)


def late_reflexive(world):
    """The STUN server is not heard at first, so that a relay is there before the direct path is known."""
    world.serve(stun=f"stun:{SERVER}:{STUN_PROBE_PORT}")
    (router, ada), (_, bob) = world.home(1, port_restricted), world.home(2, port_restricted)
    nats = world.measure([ada, bob])
    router.withhold(STUN_PROBE_PORT, STUN_REQUEST_BYTES * 2)
    clients = world.join([ada, bob])
    open_ms = opened(clients)
    # Texts go on while the path changes.
    latencies = exchange(clients, **MANY)
    settle(clients, "reflexive")
    before = traffic(world)
    exchange(clients, TEXTS, 30)
    counted(world, "reflexive", before, TEXTS)
    leave(clients)
    chosen = [[describe(event) for event in paths(client)] for client in clients]
    check(all(fits(paths(client)[0], "relay") for client in clients), f"no relay was there first: {chosen}")
    check(router.lost_packets() == 2, f"{router.lost_packets()} packets were withheld")
    path = f"relay, then reflexive ({' '.join(describe(paths(client)[-1]) for client in clients)})"
    return Row(nats=nats, path=path, open_ms=open_ms, latencies=latencies, texts=sum(len(c.sent) for c in clients))


def impaired_relay(world):
    """A relay that is 100 ms away and back, with loss and reordering. A packet passes the impairment twice, from the
    one to coturn and from there to the other, so each passage has half of it.
    """
    world.serve(turn=f"turn:{IMPAIRED}:{TURN_PORT}?transport=udp")
    bad = ("--delay-ms", 25, "--loss", 0.025, "--reorder", 0.025, "--reorder-ms", 30, "--seed", 7)
    world.servers.impair(world.internet, *bad)
    hosts = world.homes(port_restricted, port_restricted)
    worsen = lambda: world.servers.impairment.process.send_signal(signal.SIGUSR1)
    row = chat(world, hosts, "relay", **MANY, options=["--relay-only"], worsen=worsen)
    trips = [event.get("round_trip_ms") or 0 for client in world.clients for event in paths(client)]
    check(max(trips) > 95, f"the round trips are {trips} ms, not 100")
    check(world.servers.impairment.stop() == 0, "the impairment failed")
    done = json.loads(world.servers.impairment.lines[-1][1])
    check(done["lost"] and done["overtaken"] and not done["overflowed"], f"the impairment did {done}")
    return row


def udp_blocked(world):
    """Both sites let only TCP out."""
    by = [f"turn:{SERVER}:{TURN_PORT}?transport={transport}" for transport in ("udp", "tcp")]
    world.serve(turn=",".join(by))
    homes = [world.home(number, port_restricted) for number in (1, 2)]
    hosts = [host for _, host in homes]
    nats = world.measure(hosts)
    for router, _ in homes:
        router.block_udp()
    return chat(world, hosts, "relay", nats=nats)


def no_way(world):
    """UDP is blocked and there is no other way to the TURN server: each is told soon which servers do not answer, and
    in the end that there is no connection.
    """
    world.serve()
    homes = [world.home(number, port_restricted) for number in (1, 2)]
    hosts = [host for _, host in homes]
    nats = world.measure(hosts)
    for router, _ in homes:
        router.block_udp()
    clients = world.join(hosts)
    named = [client.event("error", NAMED_SECONDS, code="ice_server") for client in clients]
    for client, error in zip(clients, named):
        servers = (f"stun:{SERVER}:{TURN_PORT}", f"turn:{SERVER}:{TURN_PORT}?transport=udp")
        check(all(f"{url} (does not answer)" in error["message"] for url in servers), f"{client.name}: {error}")
        check("patchcord doctor" in error["message"], f"{client.name}: {error}")
        check(not failures(client), f"{client.name} was told why only after it had failed")
    return Row(nats=nats, **told(clients))


def failures(client):
    return [error for error in client.events("error") if error["code"] in ("connect_timeout", "connection_failed")]


def told(clients):
    """No connection comes about: each is told in time, in words that help, and by its exit code."""
    for client in clients:
        client.text("can you hear me?")
    began = max(client.event("joined", JOIN_SECONDS)["at"] for client in clients)
    errors = [client.until("failure", CONNECT_SECONDS, lambda: failures(client))[0] for client in clients]
    for client, error in zip(clients, errors):
        check("TURN" in error["message"] or "no path" in error["message"], f"{client.name}: {error['message']}")
        client.event("connection", JOIN_SECONDS, state="failed")
    for client in clients:
        code, ended = client.finish(FINISH_SECONDS)
        check(code == 4, f"{client.name} ended with {code} though its text was not delivered")
        check(len(ended) == 1 and len(ended[0]["undelivered"]) == 1, f"{client.name} ended {ended}")
        check(not client.events("channel_open"), f"{client.name} has a channel")
    told_ms = (max(error["at"] for error in errors) - began) * 1e3
    return {"path": f"none; told: {errors[0]['code']}", "open_ms": told_ms, "latencies": [], "texts": 0}


def address_change(world, change, **room):
    """In mid-chat a site gets another address: texts queue, the path comes back, and nothing is lost or doubled."""
    world.serve()
    capture = Capture(world.internet)
    world.watchers.append(capture)
    (router, ada), (_, bob) = world.home(1, port_restricted), world.home(2, port_restricted)
    nats = world.measure([ada, bob])
    clients = world.join([ada, bob], **room)
    opened(clients)
    exchange(clients, TEXTS, 30)
    before = len(capture.carried())
    changed = time.monotonic()
    change(router, ada)
    latencies = exchange(clients, TEXTS, 60)
    back_ms = (max(client.events("message")[TEXTS]["at"] for client in clients) - changed) * 1e3
    leave(clients)
    for client in clients:
        check(fits(paths(client)[-1], "reflexive"), f"{client.name} is on {describe(paths(client)[-1])} afterwards")
    told_apart(capture, before, sealed=bool(room))
    return Row(nats=nats, path="reflexive, again", open_ms=back_ms, latencies=latencies, texts=4 * TEXTS)


def told_apart(capture, before, sealed):
    """An open room shows the switchboard all that connects, the first time and again; a sealed one shows nothing of it."""
    first, again = capture.carried()[:before], capture.carried()[before:]
    check(b"laboratory" in first or CODE.split("-")[0].encode() in first, "the capture sees no join")
    check(len(again) > 1000, f"no exchange after the change: {len(again)} bytes")
    for part in first, again:
        seen = [text for text in OPENLY_TOLD if text in part]
        check(seen == ([] if sealed else OPENLY_TOLD), f"the switchboard was told {seen}")
    words = CODE.split("-", 1)[1].encode()
    check(words not in first + again, "the switchboard was told the words of the code")


def sealed_address_change(world):
    """The same with a code: the ICE restart goes through the sealed exchange too."""
    return address_change(world, lambda router, _: router.readdress("11.1.0.2", "11.1.0.3", "11.1.0.1"), room=CODE)


def public_address_change(world):
    return address_change(world, lambda router, _: router.readdress("11.1.0.2", "11.1.0.3", "11.1.0.1"))


def private_address_change(world):
    return address_change(world, lambda _, host: host.readdress("10.1.0.2", "10.1.0.3", "10.1.0.1"))


def a_host_dies(world):
    """A host is gone from one moment to the next. Nothing is closed, so only the server's unanswered questions tell."""
    world.serve(options=["--grace-time", GRACE_SECONDS])
    (_, ada), (_, bob) = (world.home(number, port_restricted) for number in (1, 2))
    nats = world.measure([ada, bob])
    watcher = Watcher(ada, "laboratory")
    world.watchers.append(watcher)
    watcher.told("joined as")
    # It does not chat, so that bob talks to nobody but the server.
    (client,) = world.join([bob])
    peer_id = client.event("joined", JOIN_SECONDS)["peer_id"]
    watcher.told(f"{peer_id} came")
    bob.vanish()
    died = time.monotonic()
    detached, left = (
        watcher.told(f"{peer_id} {what}", DETACHED_SECONDS + GRACE_SECONDS + 10) - died
        for what in ("is detached", "left: LEAVE_REASON_DISCONNECTED")
    )
    check(left <= DETACHED_SECONDS + GRACE_SECONDS, f"PeerLeft after {left:.2f} s; detached after {detached:.2f} s")
    path = f"died; detached {detached:.2f} s, left {left:.2f} s"
    return Row(nats=nats, path=path, open_ms=None, latencies=[], texts=0)


ALL = [
    same_lan,
    full_cones,
    port_restricted_both,
    symmetric_and_full_cone,
    symmetric_and_port_restricted,
    symmetric_both,
    double_nat,
    same_provider,
    udp_blocked,
    no_way,
    loses_5_percent,
    loses_20_percent,
    late_reflexive,
    impaired_relay,
    public_address_change,
    private_address_change,
    sealed_address_change,
    a_host_dies,
]


def run(case):
    """Runs one case in a world of its own; its row, or None."""
    world, began = World(), time.monotonic()
    name = case.__name__.replace("_", " ")
    try:
        row = Row(case=name, **case(world))
        print(f"ok - {name} ({time.monotonic() - began:.0f} s)", flush=True)
        return row
    except Exception as error:
        why = str(error) if isinstance(error, Unexpected) else traceback.format_exc()
        print(f"not ok - {name}: {why}", *world.log(), sep="\n", file=sys.stderr, flush=True)
        return None
    finally:
        world.take_down()


def table(rows):
    print(f"\n{'case':31}{'path (ada, bob: local-remote)':48}{'open':>9}{'texts':>7}{'p50':>9}{'p99':>9}  NATs")
    for row in rows:
        latencies, nats = row["latencies"], "; ".join(dict.fromkeys(row["nats"]))
        quantiles = (f"{quantile(latencies, share):9.1f}" if latencies else f"{'-':>9}" for share in (0.50, 0.99))
        open_ms = f"{'-':>9}" if row["open_ms"] is None else f"{row['open_ms']:9.0f}"
        print(f"{row['case']:31}{row['path']:48}{open_ms}{row['texts']:7}{''.join(quantiles)}  {nats}")
    print("open: ms from the second joined to the channel on both sides; p50, p99: ms from stdin to stdout of a text")
    print("doctor: its verdict and the NAT it names; open: ms until it ended")


def quantile(latencies, share):
    return latencies[min(int(len(latencies) * share), len(latencies) - 1)]


if __name__ == "__main__":
    cases = {case.__name__: case for case in ALL + doctor.ALL + hostile.ALL}
    chosen = [cases[name] for name in sys.argv[1:]] or cases.values()
    rows = [run(case) for case in chosen]
    table([row for row in rows if row])
    sys.exit(0 if all(rows) else 1)
