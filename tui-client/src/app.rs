//! The client without a terminal: state, and [`App::update`] from events to effects. No clock, no socket, no
//! spawn: time comes in with the events. Shown on a screen by `ui`, and as lines by `--plain`.

use std::time::Duration;

use jiff::tz::TimeZone;
use patchcord_peer::{ConnectPolicy, ConnectionReport, EndReason, RoomInfo, SignalingState};

use crate::{clock::Moment, identity::Trust, safe_text::SafeText, sealed::Invite};

pub mod block;
pub mod completion;
pub mod composer;
mod delivering;
mod event;
mod help;
mod hint;
mod identity;
mod interruption;
mod keys;
pub mod layout;
mod outbox;
mod overlay;
mod parting;
mod report;
mod requests;
mod room;
pub mod roster;
pub mod screen;
mod sealed;
mod signaling;
pub mod transcript;
mod typing;
pub mod viewport;

pub use event::{AppEvent, Effect, RequestError};
pub use help::help_lines;
pub use identity::other_name;
pub use overlay::OverlayRow;
pub use report::{connection_word, path_words};
pub use roster::Roster;
pub use sealed::verified_word;
pub use transcript::{Body, Delivery, Entry, EntryId, Level, Said, Transcript};

use completion::Completion;
use composer::Composer;
use outbox::Outbox;
use screen::{OverlayKind, Screen};
use signaling::Episode;

/// How long a hint stays on the status line.
pub const HINT_TIME: Duration = Duration::from_secs(5);
/// Within which a second Ctrl-C quits.
pub const INTERRUPT_TIME: Duration = Duration::from_secs(2);
/// How long a peer is shown as writing: its notice is then outdated (chat.proto, `ChatTyping`).
pub const TYPING_TIME: Duration = Duration::from_secs(6);
/// How often an open network view is brought up to date.
pub const NETWORK_INTERVAL: Duration = Duration::from_secs(2);
/// How often at most the bell rings.
pub const BELL_INTERVAL: Duration = Duration::from_secs(5);

/// Where the app is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// A screen of that size, with keys.
    Screen {
        /// Its width.
        columns: u16,
        /// Its height.
        rows: u16,
    },
    /// Lines in and out: what would be a hint or a view becomes an entry of the transcript.
    Lines,
}

/// What an app starts with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What the server said when the room was joined.
    pub info: RoomInfo,
    /// Whether connections are begun without being asked for.
    pub connect_policy: ConnectPolicy,
    /// Where it is shown.
    pub surface: Surface,
    /// For times and days.
    pub time_zone: TimeZone,
    /// Told at the start, such as how others can join; one entry each.
    pub notices: Vec<String>,
    /// How others come in, if the room is sealed.
    pub invite: Option<Invite>,
    /// What is known of peers.
    pub trust: Trust,
}

impl Setup {
    /// An open room with nothing to tell at the start.
    pub fn new(info: RoomInfo, surface: Surface, time_zone: TimeZone) -> Self {
        let connect_policy = ConnectPolicy::Newcomer;
        let (notices, trust) = (Vec::new(), Trust::default());
        Self { info, connect_policy, surface, time_zone, notices, invite: None, trust }
    }
}

/// How far the stay in the room is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// In the room.
    Joined,
    /// Delivering what is queued.
    Leaving {
        /// Whether the program ends after it.
        then_quit: bool,
    },
    /// Out of it.
    Ended(EndReason),
}

/// The client's state.
#[derive(Debug)]
pub struct App {
    room: SafeText,
    invite: Option<Invite>,
    trust: Trust,
    /// Wrong words that its code has met, as far as this run knows.
    guesses_used: u32,
    connect_policy: ConnectPolicy,
    surface: Surface,
    time_zone: TimeZone,
    roster: Roster,
    transcript: Transcript,
    signaling: SignalingState,
    episode: Option<Episode>,
    phase: Phase,
    /// No event of the room comes any more.
    events_over: bool,
    room_failed: bool,
    undelivered: usize,
    composer: Composer,
    completion: Option<Completion>,
    screen: Screen,
    hint: Option<(SafeText, Duration)>,
    interrupt_until: Option<Duration>,
    /// The room was told that we write, and nothing has ended it since.
    typing: bool,
    bell_rung: Option<Duration>,
    reports: Vec<ConnectionReport>,
    reports_due: Option<Duration>,
    outbox: Outbox,
}

impl App {
    /// A client that has just joined.
    pub fn new(setup: Setup, now: Moment) -> Self {
        let (columns, rows) = match setup.surface {
            Surface::Screen { columns, rows } => (columns, rows),
            Surface::Lines => (0, 0),
        };
        let mut app = Self {
            room: SafeText::line(&setup.info.room),
            invite: setup.invite,
            trust: setup.trust,
            guesses_used: 0,
            connect_policy: setup.connect_policy,
            surface: setup.surface,
            time_zone: setup.time_zone,
            roster: Roster::new(setup.info.peer_id.clone(), SafeText::line(&setup.info.display_name)),
            transcript: Transcript::default(),
            signaling: SignalingState::Connected,
            episode: None,
            phase: Phase::Joined,
            events_over: false,
            room_failed: false,
            undelivered: 0,
            composer: Composer::default(),
            completion: None,
            screen: Screen::new(columns, rows),
            hint: None,
            interrupt_until: None,
            typing: false,
            bell_rung: None,
            reports: Vec::new(),
            reports_due: None,
            outbox: Outbox::default(),
        };
        for peer in &setup.info.peers {
            app.meet(peer);
        }
        if app.invite.as_ref().is_some_and(|invite| invite.made) && app.surface != Surface::Lines {
            app.screen.toggle(OverlayKind::Code);
        }
        app.greet(&setup.info.server, &setup.notices, now);
        app
    }

    /// Takes one event in; the effects are to be carried out in their order.
    pub fn update(&mut self, event: AppEvent, now: Moment) -> Vec<Effect> {
        self.expire(now);
        let mut effects = match event {
            AppEvent::Key(key) => self.key(key, now),
            AppEvent::Paste(text) => self.paste(&text, now),
            AppEvent::Line(line) => self.line(&line, now),
            AppEvent::Resize { columns, rows } => {
                (self.screen.columns, self.screen.rows) = (columns, rows);
                Vec::new()
            }
            AppEvent::Focus(focused) => {
                self.screen.focused = Some(focused);
                Vec::new()
            }
            AppEvent::Room(event) => self.room_event(event, now),
            AppEvent::Sent { .. }
            | AppEvent::Connecting { .. }
            | AppEvent::Renamed { .. }
            | AppEvent::Decided { .. }
            | AppEvent::Connections(_) => self.answer(event, now),
            AppEvent::Departed(departure) => self.departed(departure, now),
            AppEvent::RoomLost => self.lost(now),
            AppEvent::Stop => self.quit(now),
            AppEvent::Panicked(text) => {
                let text = format!("a part of the program failed: {text}");
                self.notice(Level::Problem, &text, now);
                Vec::new()
            }
            AppEvent::SuspendRefused => {
                self.hint_at("there is no shell to go back to", now);
                Vec::new()
            }
            AppEvent::Timer => Vec::new(),
        };
        if self.screen.is_attended() {
            self.screen.unread = 0;
        }
        effects.extend(self.refresh_reports(now));
        effects
    }

    /// The uptime at which [`AppEvent::Timer`] is due, if anything is.
    pub fn deadline(&self) -> Option<Duration> {
        let typing = self.roster.members().iter().filter_map(|member| member.typing_until);
        let hint = self.hint.as_ref().map(|(_, until)| *until);
        let own = [self.interrupt_until, self.reports_due, self.episode_until()];
        typing.chain(hint).chain(own.into_iter().flatten()).min()
    }

    /// The room's name.
    pub fn room(&self) -> &SafeText {
        &self.room
    }

    /// Who is in it.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// What was said and what happened.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Whether the server can be reached.
    pub fn signaling(&self) -> &SignalingState {
        &self.signaling
    }

    /// Whether the room ended for a reason that should not occur.
    pub fn has_room_failed(&self) -> bool {
        self.room_failed
    }

    /// How far the stay in the room is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Whether connections are begun without being asked for.
    pub fn connect_policy(&self) -> ConnectPolicy {
        self.connect_policy
    }

    /// Texts that leaving could not deliver, counted per receiver; before it is known, those on their way.
    pub fn undelivered(&self) -> usize {
        match self.phase {
            Phase::Ended(_) => self.undelivered,
            _ => self.outbox.unsettled(),
        }
    }

    /// For times and days.
    pub fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }

    /// The text that is being written.
    pub fn composer(&self) -> &Composer {
        &self.composer
    }

    /// The state of the screen.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// What Tab offers now.
    pub fn completion(&self) -> Option<&Completion> {
        self.completion.as_ref()
    }

    /// A hint for the status line.
    pub fn hint(&self) -> Option<&SafeText> {
        self.hint.as_ref().map(|(hint, _)| hint)
    }

    /// The connections as they were last asked for.
    pub fn reports(&self) -> &[ConnectionReport] {
        &self.reports
    }

    /// Forgets what is outdated.
    fn expire(&mut self, now: Moment) {
        let past = |until: &Duration| *until <= now.uptime;
        for member in self.roster.members_mut() {
            member.typing_until = member.typing_until.filter(|until| !past(until));
        }
        self.hint = self.hint.take().filter(|(_, until)| !past(until));
        self.interrupt_until = self.interrupt_until.filter(|until| !past(until));
        self.fold_signaling(now);
    }

    /// Asks for reports as often as an open network view needs them, and not at all without one.
    fn refresh_reports(&mut self, now: Moment) -> Option<Effect> {
        let open = self.screen.overlay.is_some_and(|overlay| overlay.kind == OverlayKind::Network);
        if !open || self.phase != Phase::Joined {
            self.reports_due = None;
            return None;
        }
        if self.reports_due.is_some_and(|due| due > now.uptime) {
            return None;
        }
        self.reports_due = Some(now.uptime + NETWORK_INTERVAL);
        Some(Effect::FetchConnections)
    }

    fn notice(&mut self, level: Level, text: &str, now: Moment) {
        self.transcript.push(now.wall, Body::Notice { level, text: SafeText::message(text) });
    }
}

#[cfg(test)]
mod tests;
