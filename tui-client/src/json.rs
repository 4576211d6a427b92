//! The session for programs: one JSON object a line both ways, version 1. What a field means never
//! changes; fields and types may be added. Texts are raw but for JSON escapes.

mod escape;
mod face;
mod known;
mod output;
mod request;

pub(crate) use face::JsonFace;
pub(crate) use output::{Output, leave_reason, rfc3339};

use serde::Serialize;

use crate::exit::Failure;

/// The table that `--help` and the README show.
pub const JSON_HELP: &str = r#"JSON:
  With --json each line is one object with "v":1 and "type". Ignore fields and
  types that you do not know. What is not plainly printable is written \uXXXX.
  Times are RFC 3339, UTC, with milliseconds. Fields with ? may be absent.
  Read stdout while you write stdin: output that nobody reads holds up the
  session.

  Out:
  hosting         url, join_command
                    patchcord host: others can join; if sealed, by the code
  code            code
                    join --new, host --sealed: who is told it can join
  joined          room, peer_id, name, server, permissions?[...],
                  peers[{peer_id, name, joined_at, attached}]
                    we are in; permissions: where a token limits them: join,
                    create, send, turn; peers are those that were there
                    before; in a sealed room their names come with channel_open
  peer_joined     peer_id, name, joined_at, attached
  peer_updated    peer_id, name, joined_at, attached
                    a new name, or its signaling was lost (attached: false)
  peer_left       peer_id, name, reason
                    left, disconnected, too_slow, removed, room_closed,
                    server_shutdown, rules_broken or unknown
  signaling       state, reason?
                    connected, away (it is tried again), resuming or gone (for
                    good); open channels are not touched
  rejoined        peer_id
                    the server had forgotten us and knows us by this id now;
                    peers whose channels are open keep the ids they had here
  connection      peer_id, state, path, local?, remote?, round_trip_ms?
                    state: new, connecting, connected, disconnected, failed or
                    closed; path: direct, relay or, while unknown, null;
                    local, remote: host, srflx, prflx or relay
  channel_open    peer_id, name
  verified        peer_id, sas
                    in a sealed room: it knows the code; sas: four words that
                    are the same on both sides
  short_string    peer_id, sas, changed
                    in an open room: to be compared with what the other side
                    has; changed: another certificate than the time before
  identity        peer_id, key, state, known?{key, name, how, at}
                    before channel_open, and when it changes; key: proved to
                    be the peer's, or null; state: known (verified before:
                    known tells as whom), new, or held: called like known,
                    which it is not, or without known: verified before, under
                    another certificate; nothing is said to it or heard of it
                    until verify or refuse decides; how: compared or code
  decided         peer_id, outcome, message?
                    remembered, and which key is forgotten for it; session:
                    verified while it stays, and why not for longer; or refused
  channel_closed  peer_id
  message         id, peer_id, name, text, kind, direct, sent_at
                    id: counts per peer; kind: plain or action;
                    direct: to us alone
  typing          peer_id, active
                    a message ends it too, and so do 6 seconds without another
  accepted        id, ref?
                    our message was taken; comes before its receipts
  receipt         id, peer_id, state
                    queued, sent, delivered or failed; for each receiver
  error           code, message, peer_id?, ref?
                    the session goes on; before joined it is the last line
  ended           reason, message?, undelivered[{id, peer_id}]
                    the last line; reason: left, removed, hangup, interrupted,
                    terminated or failed; undelivered: of the whole session

  In:
  {"type":"message","text":"hi"}
                    to everybody; optional: "to": a peer_id,
                    "kind": "action", and "ref": a string of up to 256 bytes
                    that accepted or error echoes
  {"type":"connect","peer_id":"..."}
                    begin to connect: with --wait, or again after a failure
  {"type":"rename","name":"..."}
  {"type":"verify","peer_id":"...","sas":"..."}
                    the users have compared sas: the peer is remembered
  {"type":"refuse","peer_id":"..."}
                    disconnect it until connect; what is for everybody is not
                    for it
  {"type":"leave"}  deliver what is queued and leave, as the end of input does

  Codes of error, for a line of input: invalid_json, invalid_request,
  unknown_type, unsupported_version, line_too_long (1 MiB), not_utf8,
  other_sas;
  for a request: nobody_here, no_such_peer, empty, too_long, queue_full,
  room_ended; for the session: connect_timeout, connection_failed, ice_server
  (STUN or TURN servers that cannot be used, while a connection waits),
  mesh_full, peer_misbehaved, rejected, other_code, not_remembered,
  undelivered; when nothing could be joined: code_used_up, identity,
  known_peers, invalid_server, unreachable, join_timeout, not_permitted,
  no_token, secret_in_clear, refused, stream_ended, engine, cannot_bind,
  log_file, usage, system; at the end: switchboard_stopped."#;

#[derive(Serialize)]
struct Versioned<'a, T> {
    v: u8,
    #[serde(flatten)]
    object: &'a T,
}

/// An object that serializes with a `"type"` as one line of version 1, safe to show on a terminal.
pub(crate) fn versioned_line(object: &impl Serialize) -> Vec<u8> {
    escape::to_line(&Versioned { v: 1, object })
}

/// The line that tells why nothing was done.
pub fn failure_line(failure: &Failure) -> Vec<u8> {
    let message = failure.to_string();
    Output::Error { code: failure.code(), message: &message, peer_id: None, reference: None }.to_line()
}
