"""What a server that swaps the descriptions of two people is able to be: a peer of each, with a certificate of its own
towards both, that passes on every frame as it came, and that one of them hangs up, but hides the features that it is
told to hide. It ends when its stdin does. stdout has one JSON object per event.
"""

import argparse, asyncio, sys

import peer


class Link(peer.Link):
    """One of the two connections."""

    def __init__(self, me, peer_id):
        super().__init__(me, peer_id)
        self.connection.on("connectionstatechange", self.changed)

    async def changed(self):
        if self.connection.connectionState in ("closed", "failed"):
            peer.tell("hangs_up", side=self.me.side)
            for link in self.me.other.links.values():
                await link.connection.close()

    def opened(self):
        peer.tell("channel_open", peer_id=self.peer_id)
        self.me.opened.set()

    def received(self, data):
        frame = peer.chat.ChatFrame.FromString(data)
        kind = frame.WhichOneof("frame")
        if kind == "hello":
            known = [feature for feature in frame.hello.features if feature not in self.me.hidden]
            frame.hello.features[:] = known
        peer.tell("passes_on", kind=kind, to=self.me.other.side)
        self.me.frames.put_nowait(frame.SerializeToString())


class Half(peer.Me):
    """One of the two peers that it is."""

    link = Link

    def __init__(self, side, name, stream, hidden):
        super().__init__(name, stream)
        self.side, self.hidden, self.other = side, hidden, None
        self.opened, self.frames = asyncio.Event(), asyncio.Queue()

    async def pass_on(self):
        await self.other.opened.wait()
        while True:
            data = await self.frames.get()
            for link in self.other.links.values():
                if link.channel.readyState == "open":
                    link.channel.send(data)

    async def be(self, room):
        await self.request(join=peer.signaling.SignalRequest.Join(room=room, display_name=self.name))
        await asyncio.gather(self.listen(), self.pass_on())


async def run(arguments):
    async with peer.stream_to(arguments.left) as left, peer.stream_to(arguments.right) as right:
        # Each is told the name of the one who is on the other side.
        halves = Half("left", arguments.right_name, left, arguments.hide), Half("right", arguments.left_name, right, arguments.hide)
        halves[0].other, halves[1].other = reversed(halves)
        at_work = asyncio.gather(*(half.be(arguments.room) for half in halves))
        end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        done, _ = await asyncio.wait([at_work, end], return_when=asyncio.FIRST_COMPLETED)
        if at_work in done:
            at_work.result()
        at_work.cancel()


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("room")
parser.add_argument("--left", required=True, help="HOST:PORT of the door where the one is")
parser.add_argument("--right", required=True, help="HOST:PORT of the door where the other is")
parser.add_argument("--left-name", required=True, help="whom the other expects")
parser.add_argument("--right-name", required=True, help="whom the one expects")
parser.add_argument("--address", required=True, help="the only local address to offer")
parser.add_argument("--hide", action="append", default=[], help="a feature that neither is told the other has")
arguments = parser.parse_args()
peer.offer_only(arguments.address)
asyncio.run(run(arguments))
