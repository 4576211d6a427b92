//! What goes into the app and what comes out of it.

use crossterm::event::KeyEvent;
use patchcord_peer::{
    ConnectionReport, Departure, Event, MessageId, PeerId, Recipients, SendError, TextKind,
};

use super::EntryId;
use crate::identity::{Decision, Outcome};

/// One thing that happened.
#[derive(Debug)]
pub enum AppEvent {
    /// A key went down.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has a new size.
    Resize {
        /// Its width.
        columns: u16,
        /// Its height.
        rows: u16,
    },
    /// The terminal's window got the keyboard, or lost it.
    Focus(bool),
    /// A whole line, or message of several lines, was entered without the composer: `--plain`.
    Line(String),
    /// The room told something.
    Room(Event),
    /// The answer to [`Effect::Send`].
    Sent {
        /// The entry that shows the text.
        entry: EntryId,
        /// The id that receipts will name.
        result: Result<MessageId, RequestError>,
    },
    /// The answer to [`Effect::Connect`].
    Connecting {
        /// With whom.
        peer_id: PeerId,
        /// Whether it has begun.
        result: Result<(), RequestError>,
    },
    /// The answer to [`Effect::SetDisplayName`].
    Renamed {
        /// The new name.
        name: String,
        /// Whether it was taken.
        result: Result<(), RequestError>,
    },
    /// The answer to [`Effect::Decide`].
    Decided {
        /// About whom.
        peer_id: PeerId,
        /// What, and about what it showed then.
        decision: Decision,
        /// What came of it.
        result: Result<Outcome, RequestError>,
    },
    /// The answer to [`Effect::FetchConnections`].
    Connections(Vec<ConnectionReport>),
    /// The answer to [`Effect::Leave`]: how the room ended.
    Departed(Departure),
    /// The room tells nothing any more and has not said that it is over.
    RoomLost,
    /// A signal asks the program to end.
    Stop,
    /// A background task panicked; the text is what it said.
    Panicked(String),
    /// The answer to [`Effect::Suspend`] where no shell could continue the program.
    SuspendRefused,
    /// [`super::App::deadline`] has come.
    Timer,
}

/// One thing to do. The order is that of the user's commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// [`patchcord_peer::Room::send`], answered by [`AppEvent::Sent`].
    Send {
        /// The entry that shows the text.
        entry: EntryId,
        /// For whom.
        to: Recipients,
        /// How to show it.
        kind: TextKind,
        /// The text as typed.
        text: String,
    },
    /// [`patchcord_peer::Room::connect`], answered by [`AppEvent::Connecting`].
    Connect {
        /// With whom.
        peer_id: PeerId,
    },
    /// [`patchcord_peer::Room::set_display_name`], answered by [`AppEvent::Renamed`].
    SetDisplayName {
        /// The new name.
        name: String,
    },
    /// Carry out what the user decided about a peer, answered by [`AppEvent::Decided`].
    Decide {
        /// About whom.
        peer_id: PeerId,
        /// What.
        decision: Decision,
    },
    /// [`patchcord_peer::Room::set_typing`]; no answer.
    Typing {
        /// Whether we write.
        active: bool,
    },
    /// [`patchcord_peer::Room::connections`], answered by [`AppEvent::Connections`].
    FetchConnections,
    /// [`patchcord_peer::Room::leave`], answered by [`AppEvent::Departed`].
    Leave,
    /// End the program now.
    Quit,
    /// Ring the terminal's bell.
    Bell,
    /// Give the terminal back to the shell until the program is continued.
    Suspend,
    /// Draw every cell anew.
    Repaint,
}

/// Why a request to the room was not carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The room refused.
    #[error(transparent)]
    Refused(#[from] SendError),
    /// Too many requests wait for the room already.
    #[error("too many requests wait: try again in a moment")]
    Busy,
}
