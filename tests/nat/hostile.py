"""What a client sends when a hostile peer aims it at hosts that are no peers: 10,000 candidates, in descriptions and after
them, and checks from addresses that no peer may have. The kernel of the client's host counts what goes where.
"""

from network import SERVER, Host, Router, counters, execute, port_restricted
from programs import BINARIES, SIGNALING_PORT, Client, Program, check

JOIN_SECONDS, ATTACK_SECONDS = 10, 80
CANDIDATES, CANDIDATES_OF_CONTROL = 10_000, 63

# In this order: the first rule that fits counts. The client's own network and its servers come first.
PERMITTED = ("10.1.0.0/24",)
DENIED = (
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",
    "192.88.99.0/24", "224.0.0.0/4", "240.0.0.0/4",
)
# No candidate names the first one: only a check that came from there can lead to it.
PRIVATE = ("192.168.78.7/32", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15")
DENIED_V6 = ("::/8", "64:ff9b::/96", "2002::/16", "fe80::/10", "fec0::/10", "fd99::/16", "ff02::/16")
# Neighbours, not peers, are spoken to by ICMPv6 and not counted.
SPOOFED = ("169.254.7.7", "192.168.78.7", "203.0.113.7", "240.0.0.7")


def count(host):
    """Counts UDP by destination, from now on."""
    rules = [("-d", network) for network in PERMITTED + DENIED + PRIVATE]
    for rule in [("-d", SERVER, "--dport", "0:1023"), *rules]:
        host.iptables("-A", "OUTPUT", "-p", "udp", *rule, "-j", "ACCEPT")
    for network in DENIED_V6:
        rule = ("-A", "OUTPUT", "-p", "udp", "-d", network, "-j", "ACCEPT")
        execute(*host.inside("ip6tables", "--wait", *rule))


def counted(host):
    """Packets by destination."""
    v4 = [packets for packets, _ in counters(host, "OUTPUT", "ACCEPT")]
    by = dict(zip(("services of the server", *PERMITTED, *DENIED, *PRIVATE), v4))
    rows = (line.split() for line in execute(*host.inside("ip6tables", "--wait", "-nvxL", "OUTPUT")).splitlines()[2:])
    return by | {network: int(row[0]) for network, row in zip(DENIED_V6, rows)}


def attack(world, hosts, candidates, options):
    """What the one sends when the other aims it at so many hosts."""
    victim, mallory = hosts
    client = Client(victim, "ada", *options)
    world.clients.append(client)
    client.event("joined", JOIN_SECONDS)
    command = (BINARIES / "examples/hostile", f"http://{SERVER}:{SIGNALING_PORT}", "laboratory", candidates)
    hostile = Program(mallory, *command, mallory.address, ",".join(SPOOFED))
    world.watchers.append(hostile)
    hostile.says("are over", ATTACK_SECONDS)
    check(hostile.wait(JOIN_SECONDS) == 0, "the attack failed")
    check(not client.events("channel_open"), "a channel is open")
    code, _ = client.finish(30)
    check(code == 0, f"the client ended with {code}")
    return counted(victim)


def home(world):
    router = world.add(Router("home"))
    hosts = [world.add(Host(name)) for name in ("host-1", "host-2")]
    world.internet.serve(router, "11.1.0")
    router.lan("10.1.0", *hosts)
    port_restricted(router)
    for host in hosts:
        # Nobody filters for the client, neither what comes from where no route leads back nor by a missing route.
        execute(*host.inside("sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done"))
        host.ip("-6", "address", "add", f"fd01::{host.address.rsplit('.')[-1]}/64", "dev", "wan", "nodad")
        host.ip("-6", "route", "add", "default", "via", "fd01::1")
    for address in SPOOFED:
        hosts[1].ip("address", "add", f"{address}/32", "dev", "wan")
    count(hosts[0])
    return hosts


def hostile_candidates(world):
    """Nothing goes to where no peer can be, by the kernel's word."""
    unlimited = ("--connections-per-address-rate", 0, "--joins-per-address-rate", 0, "--requests-per-session-rate", 0)
    world.serve(options=unlimited)
    hosts = home(world)
    sent = attack(world, hosts, CANDIDATES, [])
    own = sent.pop(PERMITTED[0])
    check(own > 0, "nothing was sent at all")
    check(not any(sent.values()), f"packets went to {[where for where, packets in sent.items() if packets]}")
    return row(f"{own} packets to its own address, 0 elsewhere")


def hostile_and_any_private(world):
    """The same counters see what a client sends that is told to trust private addresses: those, and no others."""
    world.serve()
    hosts = home(world)
    sent = attack(world, hosts, CANDIDATES_OF_CONTROL, ["--ip-policy", "any"])
    private = {where: packets for where, packets in sent.items() if where in PRIVATE}
    check(all(private.values()), f"no packets went to some of {private}")
    others = {where: packets for where, packets in sent.items() if where not in PRIVATE + PERMITTED}
    others.pop("fd99::/16")
    check(not any(others.values()), f"packets went to {others}")
    return row(f"{sum(private.values())} packets to private addresses")


def row(path):
    return {"nats": [], "path": path, "open_ms": None, "latencies": [], "texts": 0}


ALL = [hostile_candidates, hostile_and_any_private]
