//! What the user of a screen looks at: its size, the view of the transcript, what lies over it, what is
//! unread.

use patchcord_peer::PeerId;

use super::{EntryId, layout, viewport::Viewport};

/// The state of the screen.
#[derive(Clone, Debug)]
pub struct Screen {
    /// Width of the terminal.
    pub columns: u16,
    /// Height of the terminal.
    pub rows: u16,
    /// What of the transcript is shown.
    pub viewport: Viewport,
    /// What lies over it.
    pub overlay: Option<Overlay>,
    /// Whose short string is shown, if not everybody's.
    pub verify: Option<PeerId>,
    /// Whether the roster's pane is wanted where there is room.
    pub roster_wanted: bool,
    /// Whether the window has the keyboard; `None` when the terminal never said.
    pub focused: Option<bool>,
    /// Over which entry the unread line is.
    pub unread_line: Option<EntryId>,
    /// Texts that came since the user last looked.
    pub unread: usize,
}

/// What lies over the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// What.
    pub kind: OverlayKind,
    /// Rows that are scrolled off its top; drawing stops at its end.
    pub scroll: usize,
}

/// What can lie over the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlayKind {
    /// Keys and commands.
    Help,
    /// The connections.
    Network,
    /// The peers, where there is no room for a pane.
    Roster,
    /// The code of a sealed room.
    Code,
    /// The short strings to compare.
    Verify,
}

impl Screen {
    /// A terminal of that size.
    pub fn new(columns: u16, rows: u16) -> Self {
        Self {
            columns,
            rows,
            viewport: Viewport::Newest,
            overlay: None,
            verify: None,
            roster_wanted: true,
            focused: None,
            unread_line: None,
            unread: 0,
        }
    }

    /// Whether the user sees what comes in.
    pub fn is_attended(&self) -> bool {
        self.focused != Some(false) && self.viewport == Viewport::Newest && self.overlay.is_none()
    }

    /// Notes a text that came in as `entry`.
    pub fn note_incoming(&mut self, entry: EntryId) {
        if !self.is_attended() {
            if self.unread == 0 {
                self.unread_line = Some(entry);
            }
            self.unread += 1;
        }
    }

    /// Whether `kind` lies over the transcript.
    pub fn shows(&self, kind: OverlayKind) -> bool {
        self.overlay.is_some_and(|overlay| overlay.kind == kind)
    }

    /// Shows `kind`, or closes it when it is shown.
    pub fn toggle(&mut self, kind: OverlayKind) {
        self.overlay = (!self.shows(kind)).then_some(Overlay { kind, scroll: 0 });
    }

    /// Shows or hides the roster in whichever form fits.
    pub fn toggle_roster(&mut self) {
        if layout::has_roster_pane(self.columns, self.rows) {
            self.roster_wanted = !self.roster_wanted;
        } else {
            self.toggle(OverlayKind::Roster);
        }
    }
}
