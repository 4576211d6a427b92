"""What kind of NAT a host is behind, by the tests of RFC 5780 sections 4.3 and 4.4. A program too, because it has
to run where the host is: `stun.py SERVER` prints the kind, `stun.py SERVER PORT` ends once that server answers.
"""

import ipaddress, os, socket, struct, subprocess, sys
from pathlib import Path

PORT = 3500
COOKIE = 0x2112A442
BINDING_REQUEST, BINDING_SUCCESS = 0x0001, 0x0101
CHANGE_REQUEST, XOR_MAPPED_ADDRESS, OTHER_ADDRESS = 0x0003, 0x0020, 0x802C
CHANGE_ADDRESS, CHANGE_PORT = 4, 2

# Within a machine an answer takes no time; one that was filtered never comes.
ATTEMPTS, ATTEMPT_SECONDS = 3, 0.25
WAIT_SECONDS = 20


def ask(udp, server, change=0):
    """The attributes of the answer, or None."""
    transaction = os.urandom(12)
    attributes = struct.pack("!HHI", CHANGE_REQUEST, 4, change) if change else b""
    request = struct.pack("!HHI", BINDING_REQUEST, len(attributes), COOKIE) + transaction + attributes
    for _ in range(ATTEMPTS):
        try:
            udp.sendto(request, server)
            while True:
                answer = udp.recv(2048)
                if answer[:2] == struct.pack("!H", BINDING_SUCCESS) and answer[8:20] == transaction:
                    return parse(answer[20:])
        except TimeoutError:
            pass
    return None


def parse(rest):
    attributes = {}
    while len(rest) >= 4:
        kind, length = struct.unpack("!HH", rest[:4])
        attributes[kind] = rest[4 : 4 + length]
        rest = rest[4 + (length + 3) // 4 * 4 :]
    return attributes


def address(value, mask=0):
    port, ip = struct.unpack("!HI", value[2:8])
    return str(ipaddress.ip_address(ip ^ mask)), port ^ mask >> 16


def mapped(udp, server):
    answer = ask(udp, server)
    if answer is None:
        sys.exit(print("no answer"))
    return address(answer[XOR_MAPPED_ADDRESS], COOKIE)


def new_socket():
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(ATTEMPT_SECONDS)
    return udp


def mapping(primary):
    udp = new_socket()
    first = mapped(udp, primary)
    other = address(ask(udp, primary)[OTHER_ADDRESS])
    assert other[0] != primary[0] and other[1] != primary[1], "the servers have to differ in both"
    if mapped(udp, (other[0], primary[1])) == first:
        return "independent"
    return "by address" if mapped(udp, (other[0], primary[1])) == mapped(udp, other) else "by address and port"


def filtering(primary):
    udp = new_socket()
    mapped(udp, primary)
    if ask(udp, primary, CHANGE_ADDRESS | CHANGE_PORT) is not None:
        return "independent"
    return "by address" if ask(udp, primary, CHANGE_PORT) is not None else "by address and port"


def of_hosts(hosts, server):
    """What kind of NAT each of these hosts is behind."""
    probe = (sys.executable, Path(__file__), server)
    probes = [subprocess.Popen(host.inside(*probe), stdout=subprocess.PIPE, text=True) for host in hosts]
    return [probe.communicate(timeout=WAIT_SECONDS)[0].strip() for probe in probes]


def wait_for_answer(host, server, port):
    """Waits until a server answers this host."""
    subprocess.run(host.inside(sys.executable, Path(__file__), server, port), check=True, timeout=WAIT_SECONDS)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        while ask(new_socket(), (sys.argv[1], int(sys.argv[2]))) is None:
            pass
    else:
        primary = (sys.argv[1], PORT)
        print(f"mapping {mapping(primary)}, filtering {filtering(primary)}")
