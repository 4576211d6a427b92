"""The laboratory's cases for `patchcord doctor`: on each kind of network it names the NAT that stun.py measures there,
says which TURN transports work, what to do about those that do not, and ends with the exit code that follows.
"""

import json, subprocess, time

from network import SERVER, Host, Router
from network import full_cone, port_restricted, symmetric
from programs import BINARIES, SIGNALING_PORT, STUN_PROBE_PORT, TURN_PORT, check

# Its own limit is 15 s.
DOCTOR_SECONDS = 20

# The second has two addresses, so that more can be known.
ONE_STUN = f"stun:{SERVER}:{TURN_PORT}"
STUN = f"{ONE_STUN},stun:{SERVER}:{STUN_PROBE_PORT}"
OVER_UDP = f"turn:{SERVER}:{TURN_PORT}?transport=udp"
TURN = f"{OVER_UDP},turn:{SERVER}:{TURN_PORT}?transport=tcp"
CLOSED_PORT = 3999

WELL = {"turn": ["ok", "ok"], "verdict": ("ok", "through a relay where there is no direct path"), "code": 0}


def run(host, *options):
    doctor = (BINARIES / "patchcord", "doctor", "--server", f"http://{SERVER}:{SIGNALING_PORT}", *options)
    return subprocess.run(host.inside(*doctor), capture_output=True, text=True, timeout=DOCTOR_SECONDS)


def examine(world, host, nat, turn, verdict, code, options=(), advice=None, measured=None):
    """Asks the doctor on this host, and holds what it says of the NAT, each TURN server and the whole against this."""
    measured = measured or world.measure([host])
    begun = time.monotonic()
    done = run(host, "--json", *options)
    took_ms = (time.monotonic() - begun) * 1e3
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    of = lambda kind: [line for line in lines if line.get("check") == kind]
    said = "\n".join([done.stdout, done.stderr])
    check([line["status"] for line in of("signaling")] == ["ok"], said)
    (found,) = of("nat")
    check((found["status"], found["message"].startswith(nat[1])) == (nat[0], True), f"not {nat}: {said}")
    check([line["status"] for line in of("turn")] == turn, f"not {turn}: {said}")
    for line in lines:
        check(("advice" in line) == (line["status"] != "ok"), f"what to do about {line}?")
    whole = lines[-1]
    check((whole["status"], verdict[1] in whole["message"]) == (verdict[0], True), f"not {verdict}: {said}")
    check(done.returncode == code, f"the exit code is {done.returncode}, not {code}")
    if advice:
        check(any(advice in line.get("advice", "") for line in lines), f"no advice {advice!r}: {said}")
    path = f"doctor: {whole['status']}; {nat[1].split(' on the way')[0]}"
    return {"nats": measured, "path": path, "open_ms": took_ms, "latencies": [], "texts": 0}


def doctor_without_nat(world):
    world.serve(stun=STUN, turn=TURN)
    return examine(world, public(world), ("ok", "none on the way"), **WELL)


def doctor_behind_a_firewall(world):
    """No address is translated, but only answers get in."""
    world.serve(stun=STUN, turn=TURN)
    host = public(world)
    host.iptables("-A", "INPUT", "-p", "udp", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP")
    world.expected_nats = ["mapping independent, filtering by address and port"]
    return examine(world, host, ("ok", f"none on the way to those servers ({host.address}), but a firewall"), **WELL)


def doctor_full_cone(world):
    world.serve(stun=STUN, turn=TURN)
    return examine(world, world.homes(full_cone)[0], ("ok", "open (full cone)"), **WELL)


def doctor_port_restricted(world):
    world.serve(stun=STUN, turn=TURN)
    return examine(world, world.homes(port_restricted)[0], ("ok", "moderate (restricted)"), **WELL)


def doctor_symmetric(world):
    world.serve(stun=STUN, turn=TURN)
    return examine(world, world.homes(symmetric)[0], ("warn", "strict (symmetric)"), **WELL, advice="open NAT or none")


def doctor_one_server(world):
    """A server with one address cannot tell what a NAT does for others, and the doctor does not pretend it could."""
    world.serve(stun=ONE_STUN, turn=TURN)
    return examine(world, world.homes(symmetric)[0], ("ok", "there is one"), **WELL)


def doctor_lossy(world):
    """What is lost is asked again and not taken for filtered."""
    world.serve(stun=STUN, turn=TURN)
    router, host = world.home(1, full_cone)
    measured = world.measure([host])
    router.lose(0.05)
    return examine(world, host, ("ok", "open (full cone)"), **WELL, measured=measured)


def doctor_double_nat(world):
    return behind_provider(world, port_restricted, ("ok", "moderate (restricted)"))


def doctor_symmetric_provider(world):
    """The home's own router is innocent."""
    return behind_provider(world, symmetric, ("warn", "strict (symmetric)"))


def behind_provider(world, nat, words):
    world.serve(stun=STUN, turn=TURN)
    provider = world.add(Router("provider"))
    world.internet.serve(provider, "11.1.0")
    nat(provider)
    _, host = world.home(1, port_restricted, upstream=provider, network="100.64.1")
    if nat is symmetric:
        world.expected_nats = ["mapping by address and port, filtering by address and port"]
    return examine(world, host, words, **WELL)


def doctor_udp_blocked(world):
    world.serve(stun=STUN, turn=TURN)
    host, measured = without_udp(world)
    verdict = ("ok", "always through a relay: nothing answers over UDP")
    return examine(world, host, UNKNOWN, ["fail", "ok"], verdict, 0, advice="UDP to it is blocked", measured=measured)


def doctor_no_way(world):
    """As in the case no_way, where a chat does fail. For people it says the same."""
    world.serve(stun=STUN, turn=OVER_UDP)
    host, measured = without_udp(world)
    verdict = ("fail", "a chat will not work beyond this network")
    row = examine(world, host, UNKNOWN, ["fail"], verdict, 1, advice="TURN over TCP or TLS", measured=measured)
    for_people = run(host)
    check(for_people.returncode == 1 and f"fail chat      {verdict[1]}" in for_people.stdout, for_people.stdout)
    return row


def doctor_turn_refused(world):
    """Nothing listens where TURN should be: strict NATs have no way to each other."""
    urls = ",".join(f"turn:{SERVER}:{CLOSED_PORT}?transport={transport}" for transport in ("udp", "tcp"))
    world.serve(stun=STUN, turn=urls)
    verdict = ("warn", "only with peers that have an open NAT or none")
    (host,) = world.homes(symmetric)
    return examine(
        world, host, ("warn", "strict (symmetric)"), ["fail", "fail"], verdict, 0, advice="does it listen on that port"
    )


def doctor_wrong_secret(world):
    """The switchboard's credentials are none for coturn."""
    world.serve(stun=STUN, turn=TURN, secret="another")
    (host,) = world.homes(port_restricted)
    nat, turn = ("ok", "moderate (restricted)"), ["fail", "fail"]
    relay_only = ("fail", "--relay-only leaves only TURN")
    examine(world, host, nat, turn, relay_only, 1, ["--relay-only"])
    verdict = ("warn", "not with those behind a strict NAT")
    return examine(world, host, nat, turn, verdict, 0, advice="static-auth-secret")


def doctor_wrong_credential(world):
    """A relay of one's own that does not accept what one gave; the switchboard's works."""
    world.serve(stun=STUN, turn=TURN)
    (host,) = world.homes(port_restricted)
    own = ["--ice-server", f"turn:{SERVER}:{TURN_PORT},somebody,wrong"]
    expected = {**WELL, "turn": ["ok", "ok", "fail"], "advice": "username and credential that you gave"}
    return examine(world, host, ("ok", "moderate (restricted)"), **expected, options=own)


UNKNOWN = ("warn", "cannot be known")


def public(world):
    """A host with a public address of its own."""
    host = world.add(Host("host-1"))
    world.internet.serve(host, "11.1.0")
    world.expected_nats = ["mapping independent, filtering independent"]
    return host


def without_udp(world):
    """A host behind a router that lets no UDP out, and what its NAT had been before."""
    router, host = world.home(1, port_restricted)
    measured = world.measure([host])
    router.block_udp()
    return host, measured


ALL = [
    doctor_without_nat,
    doctor_behind_a_firewall,
    doctor_full_cone,
    doctor_port_restricted,
    doctor_symmetric,
    doctor_one_server,
    doctor_lossy,
    doctor_double_nat,
    doctor_symmetric_provider,
    doctor_udp_blocked,
    doctor_no_way,
    doctor_turn_refused,
    doctor_wrong_secret,
    doctor_wrong_credential,
]
