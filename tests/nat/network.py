"""The laboratory's networks: hosts and routers are network namespaces, cables are veth pairs, and a NAT is what
iptables does on a router. `run.sh` gives all of it a world of its own; nothing here undoes what it made.
"""

import subprocess

# Not in any list of special addresses, as a relay that refuses those must take them for public. Nothing sent to
# them leaves this world.
SERVER = "11.0.0.1"
SERVER_ALTERNATE = "11.0.0.2"
IMPAIRED = "11.0.0.3"

COMMAND_SECONDS = 30


def execute(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


class Host:
    """A network namespace with a loopback and nothing else."""

    def __init__(self, name):
        self.name = name
        execute("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments):
        return execute("ip", "-n", self.name, *arguments)

    def inside(self, *command):
        """The command line that runs a command on this host."""
        return ["ip", "netns", "exec", self.name, *map(str, command)]

    def iptables(self, *arguments):
        return execute(*self.inside("iptables", "--wait", *arguments))

    def readdress(self, old, new, gateway):
        """Another address on the way out, as after a new lease."""
        self.ip("address", "delete", f"{old}/24", "dev", "wan")
        self.ip("address", "add", f"{new}/24", "dev", "wan")
        self.ip("route", "replace", "default", "via", gateway)

    def vanish(self):
        """No packet comes or goes from now on, and nobody is told: what a cut cable or a lost battery is to others."""
        for chain in ("INPUT", "OUTPUT"):
            self.iptables("-I", chain, "-j", "DROP")

    def remove(self):
        execute("ip", "netns", "delete", self.name)


class Router(Host):
    def __init__(self, name):
        super().__init__(name)
        execute(*self.inside("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"))

    def serve(self, lower, network):
        """Connects a host to this router as NETWORK.2, which it is for it the way to everywhere."""
        self.ip("link", "add", lower.name, "type", "veth", "peer", "name", "wan", "netns", lower.name)
        self.ip("address", "add", f"{network}.1/24", "dev", lower.name)
        self.ip("link", "set", lower.name, "up")
        lower.ip("address", "add", f"{network}.2/24", "dev", "wan")
        lower.ip("link", "set", "wan", "up")
        lower.ip("route", "add", "default", "via", f"{network}.1")
        lower.address = f"{network}.2"

    def lan(self, network, *hosts):
        """Connects hosts to each other and to this router: NETWORK.2 and so on."""
        self.ip("link", "add", "lan", "type", "bridge")
        self.ip("address", "add", f"{network}.1/24", "dev", "lan")
        self.ip("link", "set", "lan", "up")
        for number, host in enumerate(hosts, 2):
            self.ip("link", "add", host.name, "type", "veth", "peer", "name", "wan", "netns", host.name)
            self.ip("link", "set", host.name, "master", "lan", "up")
            host.address = f"{network}.{number}"
            host.ip("address", "add", f"{host.address}/24", "dev", "wan")
            host.ip("link", "set", "wan", "up")
            host.ip("route", "add", "default", "via", f"{network}.1")

    def lose(self, share):
        """Loses that share of UDP packets in each direction; TCP's losses would be TCP's affair."""
        statistic = ("-m", "statistic", "--mode", "random", "--probability", str(share))
        self.iptables("-I", "FORWARD", "-p", "udp", *statistic, "-j", "DROP")

    def block_udp(self):
        self.iptables("-I", "FORWARD", "-p", "udp", "-j", "DROP")

    def withhold(self, port, size):
        """Drops the first bytes that go to this UDP port."""
        quota = ("-m", "quota", "--quota", str(size))
        self.iptables("-I", "FORWARD", "-p", "udp", "--dport", str(port), *quota, "-j", "DROP")

    def lost_packets(self):
        """What `lose`, `withhold` or `block_udp` has dropped so far."""
        return sum(packets for packets, _ in counters(self, "FORWARD", "DROP"))


class Internet(Router):
    """Where the servers are, and the way between the sites. It has routes to its own networks only, so private
    addresses get no further than here; it counts what goes directly from site to site, and what its servers get.
    """

    def __init__(self):
        super().__init__("internet")
        for address in (SERVER, SERVER_ALTERNATE, IMPAIRED):
            self.ip("address", "add", f"{address}/32", "dev", "lo")
        self.ip("route", "add", "blackhole", "default")
        self.iptables("-A", "FORWARD", "-p", "udp", "-j", "ACCEPT")
        self.iptables("-A", "INPUT", "-p", "udp", "-j", "ACCEPT")

    def direct_bytes(self):
        return sum(size for _, size in counters(self, "FORWARD", "ACCEPT"))

    def relayed_bytes(self):
        return sum(size for _, size in counters(self, "INPUT", "ACCEPT"))


def counters(host, chain, target):
    """Packets and bytes of each rule of a chain that has this target."""
    rows = (line.split() for line in host.iptables("-nvxL", chain).splitlines()[2:])
    return [(int(row[0]), int(row[1])) for row in rows if row[2] == target]


def full_cone(router, *clients):
    """Static, both ways: whoever sends to a port that the client has reaches it."""
    (client,) = clients
    router.iptables("-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE")
    router.iptables("-t", "nat", "-A", "PREROUTING", "-i", "wan", "-p", "udp", "-j", "DNAT", "--to", client.address)


def port_restricted(router, *clients):
    """One port for all destinations, open to those addresses and ports that were sent to."""
    router.iptables("-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE")
    firewall(router)


def symmetric(router, *clients):
    """Another port for each destination."""
    router.iptables("-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE", "--random-fully")
    firewall(router)


def firewall(router):
    # What comes unasked is dropped, as home routers do. Merely refused it would take the port that the client's
    # own packets to that sender need, and make the NAT symmetric by accident.
    router.iptables("-A", "INPUT", "-p", "udp", "-j", "DROP")


# What stun.py has to say of them.
MEASURED = {
    full_cone: "mapping independent, filtering independent",
    port_restricted: "mapping independent, filtering by address and port",
    symmetric: "mapping by address and port, filtering by address and port",
}
