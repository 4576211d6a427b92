"""Prints what TCP carries from and to a port, as one line of hexadecimal digits for each segment, until it is killed.
It says `ready` when nothing is missed any more.
"""

import socket, struct, sys

ETH_P_ALL, ETH_P_IP, ETHERNET_BYTES = 3, 0x0800, 14
SEGMENT_BYTES_MAX = 1 << 16

port = int(sys.argv[1])
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as wire:
    print("ready", flush=True)
    while True:
        frame = wire.recv(SEGMENT_BYTES_MAX)
        packet = frame[ETHERNET_BYTES:]
        if struct.unpack("!H", frame[12:ETHERNET_BYTES])[0] != ETH_P_IP or packet[9] != socket.IPPROTO_TCP:
            continue
        (length,) = struct.unpack("!H", packet[2:4])
        segment = packet[(packet[0] & 15) * 4 : length]
        payload = segment[(segment[12] >> 4) * 4 :]
        if port in struct.unpack("!HH", segment[:4]) and payload:
            print(payload.hex(), flush=True)
