"""The programs under test, as processes on hosts of the laboratory. All waiting is for an event, with a deadline,
and a wait that fails says what the process had said until then.
"""

import collections, json, os, subprocess, sys, threading, time
from pathlib import Path

from network import IMPAIRED, SERVER, SERVER_ALTERNATE
from stun import wait_for_answer

BINARIES = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "debug"
SIGNALING_PORT, TURN_PORT, STUN_PROBE_PORT = 50051, 3478, 3500
TURN_SECRET = "laboratory"
START_SECONDS = 20
LOGGED_COLUMNS_MAX = 200


class Unexpected(Exception):
    pass


def check(holds, otherwise):
    if not holds:
        raise Unexpected(otherwise)


class Program:
    """A process whose lines of output are kept with the time they came."""

    def __init__(self, host, *command, **environment):
        self.name = Path(command[0]).name
        self.lines, self.ended, self.changed = [], False, threading.Condition(threading.RLock())
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            host.inside(*command), stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, **environment},
        )
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.keep(time.monotonic(), line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def keep(self, at, line):
        self.lines.append((at, line))

    def until(self, what, seconds, found):
        """Waits until there is what is to be found, and returns it."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while not (result := found()):
                if self.ended or not self.changed.wait(max(deadline - time.monotonic(), 0)):
                    why = "it ended" if self.ended else f"within {seconds} s"
                    raise Unexpected(f"{self.name}: no {what} ({why})")
            return result

    def says(self, text, seconds=START_SECONDS):
        self.until(repr(text), seconds, lambda: any(text in line for _, line in self.lines))

    def stop(self):
        """Ends it in order and returns its exit code."""
        self.process.terminate()
        return self.wait(START_SECONDS)

    def wait(self, seconds):
        code = self.process.wait(timeout=seconds)
        self.until("end of output", seconds, lambda: self.ended)
        return code

    def log(self, last=40):
        return [f"    {self.name}: {line[:LOGGED_COLUMNS_MAX]}" for _, line in self.lines[-last:]]


class Client(Program):
    """`patchcord join --json`."""

    def __init__(self, host, name, *options, room="laboratory"):
        join = ("join", room, "--json", "--name", name, "--server", f"http://{SERVER}:{SIGNALING_PORT}")
        self.told = collections.defaultdict(list)
        super().__init__(host, BINARIES / "patchcord", *join, *options)
        self.name, self.sent = name, []

    def keep(self, at, line):
        super().keep(at, line)
        if line.startswith("{"):
            event = {"at": at, **json.loads(line)}
            self.told[event["type"]].append(event)

    def say(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def text(self, text):
        self.sent.append((time.monotonic(), text))
        self.say(type="message", text=text)

    def events(self, kind, **fields):
        """What it told of this kind with these values, each with the time `at` which it did."""
        with self.changed:
            return [event for event in self.told[kind] if all(event.get(key) == fields[key] for key in fields)]

    def event(self, kind, seconds, number=1, **fields):
        """Waits for that event, for the first or the so-manieth of it."""
        what = f"{kind} {fields} number {number}"
        return self.until(what, seconds, lambda: self.events(kind, **fields)[number - 1 : number])[0]

    def log(self, last=40):
        # The lines about texts would bury the rest.
        buried = tuple(f'"type":"{kind}"' for kind in ("message", "accepted", "receipt"))
        told = [pair for pair in self.lines if not any(kind in pair[1] for kind in buried)]
        return [f"    {self.name}: {at:.3f} {line[:LOGGED_COLUMNS_MAX]}" for at, line in told[-last:]]

    def finish(self, seconds):
        """Ends its input and returns the exit code and its last word."""
        self.process.stdin.close()
        return self.wait(seconds), self.events("ended")


class Watcher(Program):
    """`load watch`: a peer that prints who came, was lost and left."""

    def __init__(self, host, room):
        super().__init__(host, BINARIES / "examples/load", f"http://{SERVER}:{SIGNALING_PORT}", "watch", room)

    def told(self, text, seconds=START_SECONDS):
        """Waits for a line with this and returns when it came."""
        return self.until(repr(text), seconds, lambda: [at for at, line in self.lines if text in line])[0]


class Capture(Program):
    """All that goes between clients and the switchboard."""

    def __init__(self, host):
        super().__init__(host, sys.executable, "-B", "tests/nat/capture.py", SIGNALING_PORT)
        self.says("ready")

    def carried(self):
        with self.changed:
            return b"".join(bytes.fromhex(line) for _, line in self.lines if line != "ready").lower()

    def log(self, last=40):
        return []


class Servers:
    """What is public: the switchboard, coturn with the rules that it is deployed with, and a STUN server with two
    addresses, as the probe for the kind of a NAT needs one.
    """

    def __init__(
        self,
        internet,
        turn=f"turn:{SERVER}:{TURN_PORT}?transport=udp",
        stun=f"stun:{SERVER}:{TURN_PORT}",
        secret=TURN_SECRET,
        options=(),
    ):
        self.programs = []
        rules = Path("deploy/turnserver.conf").read_text()
        own = f"listening-ip={SERVER}\nrelay-ip={SERVER}\nallowed-peer-ip={SERVER}\n"
        own += f"static-auth-secret={TURN_SECRET}\nrealm=laboratory\nuserdb=/run/turn.db\n"
        Path("/run/turnserver.conf").write_text(rules + "\n" + own)
        self.coturn = self.start(internet, "turnserver", "-c", "/run/turnserver.conf")
        probe = ("-n", "--stun-only", "--no-cli", "--no-tls", "--no-dtls", "-L", SERVER, "-L", SERVER_ALTERNATE)
        log = ("--log-file=stdout", "--simple-log", "--pidfile=/dev/null", "--userdb=/run/probe.db")
        self.probe = self.start(internet, "turnserver", *probe, "-p", STUN_PROBE_PORT, *log)
        self.switchboard = self.start(
            internet, BINARIES / "patchcord-server", "--listen", f"{SERVER}:{SIGNALING_PORT}", "--no-admin",
            *options, PATCHCORD_STUN_URL=stun, PATCHCORD_TURN_URL=turn, PATCHCORD_TURN_SECRET=secret,
        )
        for port in (TURN_PORT, STUN_PROBE_PORT):
            wait_for_answer(internet, SERVER, port)
        self.switchboard.says("listening")

    def start(self, host, *command, **environment):
        program = Program(host, *command, **environment)
        self.programs.append(program)
        return program

    def impair(self, internet, *options):
        """A bad network between whoever sends to IMPAIRED and coturn."""
        relay = (BINARIES / "examples/impair", f"{IMPAIRED}:{TURN_PORT}", f"{SERVER}:{TURN_PORT}")
        self.impairment = self.start(internet, *relay, *options)
        self.impairment.says("ready")

    def stop(self):
        for program in self.programs:
            if program.process.poll() is None:
                program.process.terminate()
        for program in self.programs:
            program.wait(START_SECONDS)
