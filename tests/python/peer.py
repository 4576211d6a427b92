"""A Patchcord peer that shares no code with the others: grpcio signals, aiortc connects, and the contract is
all it knows. It offers to whoever is in the room and answers whoever comes later. Each line of stdin is a text
for everybody; at its end the peer says bye and leaves. stdout has one JSON object per event.
"""

import argparse, asyncio, contextlib, importlib, json, os, sys, tempfile
from pathlib import Path

import aioice.ice, grpc, grpc_tools.protoc
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp


def contract(proto, into):
    """Generates the modules of patchcord.v1 and imports them."""
    wellknown = Path(grpc_tools.protoc.__file__).parent / "_proto"
    options = [f"-I{proto}", f"-I{wellknown}", f"--python_out={into}", f"--grpc_python_out={into}"]
    if grpc_tools.protoc.main(["", *options, *map(str, Path(proto).glob("patchcord/v1/*.proto"))]):
        sys.exit("the contract does not compile")
    sys.path.insert(0, into)
    return [importlib.import_module(f"patchcord.v1.{name}") for name in ("signaling_pb2", "signaling_pb2_grpc", "chat_pb2")]


def tell(event, **fields):
    print(json.dumps({"type": event, **fields}), flush=True)


class Link:
    """The connection to one peer of the room and the chat on it."""

    def __init__(self, me, peer_id):
        self.me, self.peer_id, self.early, self.sent_seq, self.acknowledged = me, peer_id, [], 0, asyncio.Event()
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=me.ice_servers))
        self.channel = self.connection.createDataChannel("chat", protocol="patchcord.chat.v1", negotiated=True, id=0)
        self.channel.on("open", self.opened)
        self.channel.on("message", self.received)

    def send(self, **frame):
        self.channel.send(chat.ChatFrame(**frame).SerializeToString())

    def opened(self):
        self.send(hello=chat.ChatHello(session_id=self.me.session_id, display_name=self.me.name, user_agent="peer.py"))
        tell("channel_open", peer_id=self.peer_id)

    def received(self, data):
        frame = chat.ChatFrame.FromString(data)
        kind = frame.WhichOneof("frame")
        if kind == "hello":
            tell("hello", peer_id=self.peer_id, name=frame.hello.display_name)
        elif kind == "text":
            tell("message", peer_id=self.peer_id, seq=frame.text.seq, text=frame.text.text)
            self.send(receipt=chat.ChatReceipt(through_seq=frame.text.seq))
        elif kind == "receipt":
            tell("receipt", peer_id=self.peer_id, through_seq=frame.receipt.through_seq)
        elif kind == "bye":
            self.send(bye_ack=chat.ChatByeAck())
            tell("bye", peer_id=self.peer_id, last_seq=frame.bye.last_seq)
        elif kind == "bye_ack":
            self.acknowledged.set()

    def say(self, text):
        self.sent_seq += 1
        self.send(text=chat.ChatText(seq=self.sent_seq, text=text, message_id=self.sent_seq))

    async def describe(self, kind, sdp):
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, kind))
        for candidate in self.early:
            await self.add(candidate)

    async def add(self, candidate):
        if self.connection.remoteDescription is None:
            self.early.append(candidate)
        elif candidate.candidate:
            parsed = candidate_from_sdp(candidate.candidate.removeprefix("candidate:"))
            parsed.sdpMid = candidate.sdp_mid or "0"
            await self.connection.addIceCandidate(parsed)

    async def close(self):
        if self.channel.readyState == "open":
            self.send(bye=chat.ChatBye(last_seq=self.sent_seq))
            await asyncio.wait_for(self.acknowledged.wait(), 2)
        await self.connection.close()


class Me:
    """This peer: its stream to the server and its links."""

    link = Link

    def __init__(self, name, stream):
        self.name, self.stream, self.session_id = name, stream, os.urandom(16)
        self.links, self.ice_servers, self.seq, self.ack = {}, [], 0, 0

    async def request(self, **message):
        self.seq += 1
        await self.stream.write(signaling.SignalRequest(seq=self.seq, ack=self.ack, **message))

    async def offer(self, peer_id):
        link = self.links[peer_id] = self.link(self, peer_id)
        # aiortc does not trickle: the description has every candidate in it.
        await link.connection.setLocalDescription(await link.connection.createOffer())
        sdp = link.connection.localDescription.sdp
        await self.request(offer=signaling.SignalRequest.Offer(to_peer_id=peer_id, sdp=sdp))

    async def answer(self, peer_id, offer):
        link = self.links[peer_id] = self.links.get(peer_id) or self.link(self, peer_id)
        await link.describe("offer", offer)
        await link.connection.setLocalDescription(await link.connection.createAnswer())
        sdp = link.connection.localDescription.sdp
        await self.request(answer=signaling.SignalRequest.Answer(to_peer_id=peer_id, sdp=sdp))

    async def listen(self):
        async for response in self.stream:
            self.ack = response.seq or self.ack
            kind = response.WhichOneof("message")
            message = kind and getattr(response, kind)
            link = self.links.get(getattr(message, "from_peer_id", None))
            if kind == "joined":
                self.ice_servers = [RTCIceServer(list(s.urls), s.username, s.credential) for s in message.ice_servers]
                tell("joined", peer_id=message.peer_id, peers=[peer.peer_id for peer in message.peers])
                for peer in message.peers:
                    await self.offer(peer.peer_id)
            elif kind == "offer":
                await self.answer(message.from_peer_id, message.sdp)
            elif kind == "answer" and link:
                await link.describe("answer", message.sdp)
            elif kind == "candidate" and link:
                await link.add(message)
            elif kind == "peer_left" and (gone := self.links.pop(message.peer_id, None)):
                await gone.connection.close()
                tell("peer_left", peer_id=message.peer_id)
            elif kind in ("rejected", "go_away"):
                tell(kind, message=message.message)

    async def speak(self):
        stdin = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
        async for line in stdin:
            if text := line.decode().strip():
                for link in self.links.values():
                    link.say(text)
        await asyncio.gather(*(link.close() for link in self.links.values()))
        await self.request(leave=signaling.SignalRequest.Leave())


    async def run(self, room):
        await self.request(join=signaling.SignalRequest.Join(room=room, display_name=self.name))
        await asyncio.gather(self.listen(), self.speak())


@contextlib.asynccontextmanager
async def stream_to(server):
    async with grpc.aio.insecure_channel(server) as channel:
        yield signaling_grpc.SignalingServiceStub(channel).Signal()


def offer_only(address):
    """Makes this the only local address that is offered."""
    if address:
        aioice.ice.get_host_addresses = lambda **_: [address]


async def run(arguments):
    async with stream_to(arguments.server) as stream:
        await Me(arguments.name, stream).run(arguments.room)


with tempfile.TemporaryDirectory() as generated:
    signaling, signaling_grpc, chat = contract(Path(__file__).parents[2] / "proto", generated)
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("room")
    parser.add_argument("--server", default="127.0.0.1:50051", help="HOST:PORT of the public door")
    parser.add_argument("--name", default="peer.py", help="what others are shown")
    parser.add_argument("--address", help="the only local address to offer")
    arguments = parser.parse_args()
    offer_only(arguments.address)
    asyncio.run(run(arguments))
