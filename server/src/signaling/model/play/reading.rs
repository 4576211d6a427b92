//! Taking responses, one by one, and comparing each with what the reference says comes next.

use std::task::Poll;

use patchcord_proto::v1::{
    SignalResponse,
    signal_response::{Message as Told, Resumed},
};
use prost::Message;
use tonic::{Code, Status};

use super::{Play, ensure};
use crate::{
    config::{Config, RETAINED_BYTES_MAX, RETAINED_MESSAGES_MAX},
    frame::Outgoing,
    signaling::model::{
        check::{Checked, Invariant},
        reference::{Id, Next, Resumption},
        world::Wire,
    },
};
use proptest::test_runner::TestCaseError;

/// What one look at a stream gave.
enum Read {
    Replay(usize),
    Fresh(usize),
    Resumed(usize),
    Nothing,
    End(Option<Status>),
}

/// A response that says something; bare acknowledgements are passed over.
pub(super) enum Taken {
    Told(Outgoing, Box<Told>),
    Nothing,
    End(Option<Status>),
}

/// What is to be compared: without times and without words for people.
fn told(outgoing: &Outgoing) -> Told {
    let response = SignalResponse::decode(outgoing.body.clone()).unwrap();
    let mut told = response.message.expect("it says something");
    let without_time = |peer: &mut patchcord_proto::v1::Peer| peer.joined_at = None;
    match &mut told {
        Told::Joined(joined) => joined.peers.iter_mut().for_each(without_time),
        Told::Resumed(resumed) => resumed.peers.iter_mut().for_each(without_time),
        Told::PeerJoined(joined) => joined.peer.iter_mut().for_each(without_time),
        Told::PeerUpdated(updated) => updated.peer.iter_mut().for_each(without_time),
        Told::GoAway(away) => (away.reconnect_after, away.message) = (None, String::new()),
        _ => {}
    }
    told
}

pub(super) fn take(wire: &mut Wire) -> Taken {
    loop {
        match wire.take() {
            Poll::Pending => return Taken::Nothing,
            Poll::Ready(None) => return Taken::End(None),
            Poll::Ready(Some(Err(status))) => return Taken::End(Some(status)),
            Poll::Ready(Some(Ok(outgoing))) if outgoing.body.is_empty() => {}
            Poll::Ready(Some(Ok(outgoing))) => {
                let told = told(&outgoing);
                return Taken::Told(outgoing, Box::new(told));
            }
        }
    }
}

impl Play {
    /// Reads so many, or what there is.
    pub(super) fn read(&mut self, id: Id, count: usize) -> Checked {
        for _ in 0..count {
            match self.read_one(id)? {
                Read::Nothing => break,
                Read::End(status) => return Err(TestCaseError::fail(format!("{id} ended: {status:?}"))),
                Read::Replay(_) | Read::Fresh(_) | Read::Resumed(_) => {}
            }
        }
        Ok(())
    }

    /// Takes so many, which do not arrive.
    pub(super) fn lose_responses(&mut self, id: Id, count: usize) -> Checked {
        for _ in 0..count {
            match self.take_one(id)? {
                Some((_, _, Read::Nothing | Read::End(_))) | None => break,
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Reads what there is, which is bounded.
    pub(super) fn read_all(&mut self, id: Id) -> Checked {
        match self.read_until_nothing(id)? {
            None => Ok(()),
            Some(status) => Err(TestCaseError::fail(format!("{id} ended: {status:?}"))),
        }
    }

    /// Reads what there is and then how the session ended, if anybody reads.
    pub(super) fn read_to_end(&mut self, id: Id, code: Code) -> Checked {
        if self.clients[id].wire.is_none() {
            return Ok(());
        }
        let status =
            self.read_until_nothing(id)?.map(|status| status.map_or(Code::Ok, |status| status.code()));
        self.clients[id].wire = None;
        ensure(Invariant::EndsSayWhy, status == Some(code), || {
            format!("{id} ended with {status:?}, not {code}")
        })
    }

    /// How it ended, if it has.
    fn read_until_nothing(&mut self, id: Id) -> Result<Option<Option<Status>>, TestCaseError> {
        if self.clients[id].wire.is_none() {
            return Ok(None);
        }
        let (mut replayed, mut fresh) = ((0, 0), (0, 0));
        let end = loop {
            match self.read_one(id)? {
                Read::Replay(bytes) => replayed = (replayed.0 + 1, replayed.1 + bytes),
                Read::Fresh(bytes) => fresh = (fresh.0 + 1, fresh.1 + bytes),
                Read::Resumed(_) => {}
                Read::Nothing => break None,
                Read::End(status) => break Some(status),
            }
        };
        let config = Config::default();
        ensure(
            Invariant::OutboxIsBounded,
            fresh.0 <= config.outbox_messages_max() && fresh.1 <= config.outbox_bytes_max(),
            || format!("{fresh:?} waited"),
        )?;
        ensure(
            Invariant::RetainedIsBounded,
            replayed.0 <= RETAINED_MESSAGES_MAX && replayed.1 <= RETAINED_BYTES_MAX,
            || format!("{replayed:?} were kept"),
        )?;
        Ok(end)
    }

    fn read_one(&mut self, id: Id) -> Result<Read, TestCaseError> {
        let Some((seq, told, read)) = self.take_one(id)? else { return Ok(Read::Nothing) };
        match (&read, told) {
            (Read::Resumed(token), Some(Told::Resumed(resumed))) => {
                let Resumed { complete, peers, resume_token, .. } = resumed;
                self.clients[id].view.resumed(complete, &peers, (*token, resume_token));
            }
            (_, Some(told)) => self.clients[id].view.handle(seq, &told)?,
            (_, None) => {}
        }
        Ok(read)
    }

    /// Takes one, as it leaves the server; whether it arrives is another matter.
    fn take_one(&mut self, id: Id) -> Result<Option<(u64, Option<Told>, Read)>, TestCaseError> {
        let Some(wire) = &mut self.clients[id].wire else { return Ok(None) };
        let taken = take(wire);
        let next = self.reference.sessions[id].next();
        let (outgoing, told) = match taken {
            Taken::Told(outgoing, told) => (outgoing, *told),
            Taken::Nothing | Taken::End(_) if !matches!(next, Next::Nothing) => {
                let what = format!("{id} was not told {next:?}");
                return ensure(Invariant::EachIsToldExactlyWhatHappened, false, || what).map(|()| None);
            }
            Taken::Nothing => return Ok(None),
            Taken::End(status) => return Ok(Some((0, None, Read::End(status)))),
        };
        self.clients[id].is_slow = false;
        let taken_requests = self.reference.sessions[id].requests;
        ensure(Invariant::AcknowledgedIsWhatWasTaken, outgoing.ack == taken_requests, || {
            format!("{id} was told {} are taken, and {taken_requests} are", outgoing.ack)
        })?;
        let bytes = outgoing.body.len();
        let (invariant, seq, expected, read) = match next {
            Next::Resumed(expected) => {
                let token = expected.token;
                self.check_resumed(id, &told, expected)?;
                return Ok(Some((0, Some(told), Read::Resumed(token))));
            }
            Next::Replay(seq, expected) => {
                (Invariant::ReplayIsWhatWasUnacknowledged, seq, Some(expected), Read::Replay(bytes))
            }
            Next::Fresh(seq, expected) => {
                (Invariant::EachIsToldExactlyWhatHappened, seq, Some(expected), Read::Fresh(bytes))
            }
            Next::Nothing => (Invariant::EachIsToldExactlyWhatHappened, 0, None, Read::Nothing),
        };
        ensure(invariant, outgoing.seq == seq && Some(&told) == expected.as_ref(), || {
            let short = |what: String| what.chars().take(400).collect::<String>();
            let (told, expected) = (short(format!("{told:?}")), short(format!("{expected:?}")));
            format!("{id} was told {} {told} instead of {seq} {expected}", outgoing.seq)
        })?;
        Ok(Some((outgoing.seq, Some(told), read)))
    }

    fn check_resumed(&self, id: Id, told: &Told, expected: Resumption) -> Checked {
        let Told::Resumed(resumed) = told else {
            let told = format!("{id} was told {told:?} before Resumed");
            return ensure(Invariant::EachIsToldExactlyWhatHappened, false, || told);
        };
        let Resumed { complete, last_seq, affected_peer_ids, peers, .. } = resumed;
        let invariant =
            if expected.complete { Invariant::CompleteSaysTheTruth } else { Invariant::LossIsTold };
        ensure(invariant, *complete == expected.complete, || format!("{id} was told complete: {complete}"))?;
        ensure(Invariant::AffectedAreExactlyThose, *affected_peer_ids == expected.affected, || {
            format!("{id} was told {affected_peer_ids:?} instead of {:?}", expected.affected)
        })?;
        ensure(Invariant::RequestsAreCarriedOutOnce, *last_seq == expected.last_seq, || {
            format!("{id} was told {last_seq} instead of {}", expected.last_seq)
        })?;
        ensure(Invariant::RostersEqualMembership, *peers == expected.peers, || {
            format!("{id} was told {peers:?} instead of {:?}", expected.peers)
        })
    }
}
