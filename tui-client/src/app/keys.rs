//! What keys and pastes do to the app.

use crossterm::event::KeyEvent;

use super::{
    App, Effect, INTERRUPT_TIME, Phase,
    block::{Blocks, Columns},
    completion::Completion,
    composer::{self, Edit},
    layout::{self, Areas},
    screen::{Overlay, OverlayKind},
    viewport::{Place, Viewport},
};
use crate::{
    clock::Moment,
    keymap::{self, Action},
};

impl App {
    pub(super) fn key(&mut self, key: KeyEvent, now: Moment) -> Vec<Effect> {
        let Some(action) = keymap::action(key) else { return Vec::new() };
        if !matches!(action, Action::Complete | Action::CompleteBack) {
            self.completion = None;
        }
        if action != Action::Interrupt {
            self.interrupt_until = None;
        }
        if let Some(overlay) = self.screen.overlay
            && self.overlay_key(overlay, action)
        {
            return Vec::new();
        }
        match action {
            Action::Quit => self.quit(now),
            Action::EndOfInput if self.composer.is_empty() => self.quit(now),
            Action::Interrupt => self.interrupt(now),
            Action::Suspend => vec![Effect::Suspend],
            Action::Repaint => vec![Effect::Repaint],
            Action::Submit => self.submit_composer(now),
            Action::Help => self.toggled(OverlayKind::Help),
            Action::Network => self.toggled(OverlayKind::Network),
            Action::Code => self.toggled(OverlayKind::Code),
            Action::Verify => {
                self.screen.verify = None;
                self.toggled(OverlayKind::Verify)
            }
            Action::Roster => {
                self.screen.toggle_roster();
                Vec::new()
            }
            Action::PageUp | Action::PageDown | Action::Oldest | Action::Newest | Action::FirstUnread => {
                self.scroll(action);
                Vec::new()
            }
            Action::Close => {
                self.hint = None;
                Vec::new()
            }
            Action::Insert(_) | Action::Edit(_) | Action::EndOfInput => self.write(action, now),
            Action::Up | Action::Down | Action::Complete | Action::CompleteBack => {
                self.recall_or_complete(action);
                Vec::new()
            }
        }
    }

    fn toggled(&mut self, kind: OverlayKind) -> Vec<Effect> {
        self.screen.toggle(kind);
        Vec::new()
    }

    /// Whether the key was for what lies over the transcript.
    fn overlay_key(&mut self, mut overlay: Overlay, action: Action) -> bool {
        let area = self.areas().map(|areas| areas.overlay()).unwrap_or_default();
        let page = usize::from(area.height).saturating_sub(2).max(1);
        let end = self.overlay_rows(overlay.kind, layout::overlay_columns(area)).len();
        overlay.scroll = match action {
            Action::Close | Action::Interrupt | Action::Insert('q') | Action::Submit => {
                self.screen.overlay = None;
                return true;
            }
            Action::Up => overlay.scroll.saturating_sub(1),
            Action::Down => overlay.scroll + 1,
            Action::PageUp => overlay.scroll.saturating_sub(page),
            Action::PageDown | Action::Insert(' ') => overlay.scroll + page,
            Action::Oldest | Action::Edit(Edit::Home) => 0,
            Action::Newest | Action::Edit(Edit::End) => end,
            // Nothing is written where it cannot be seen.
            Action::Insert(_) | Action::Edit(_) | Action::Complete | Action::CompleteBack => overlay.scroll,
            _ => return false,
        }
        .min(end.saturating_sub(page));
        self.screen.overlay = Some(overlay);
        true
    }

    fn interrupt(&mut self, now: Moment) -> Vec<Effect> {
        let leaving = matches!(self.phase, Phase::Leaving { .. });
        if leaving || self.interrupt_until.take().is_some() {
            return self.quit(now);
        }
        if self.composer.is_empty() {
            self.interrupt_until = Some(now.uptime + INTERRUPT_TIME);
            self.hint_at("Ctrl-C again quits", now);
            return Vec::new();
        }
        // It goes into the history: a slip of the finger loses nothing.
        self.composer.take();
        self.hint = None;
        self.stop_typing()
    }

    pub(super) fn paste(&mut self, text: &str, now: Moment) -> Vec<Effect> {
        self.completion = None;
        self.screen.overlay = None;
        if self.composer.insert(text) {
            return self.typing();
        }
        let (size, room) = (text.len(), composer::TEXT_BYTES_MAX);
        self.hint_at(&format!("not pasted: {size} bytes, and the input holds {room}"), now);
        Vec::new()
    }

    fn write(&mut self, action: Action, now: Moment) -> Vec<Effect> {
        match action {
            Action::Insert(c) => {
                if !self.composer.insert(c.encode_utf8(&mut [0; 4])) {
                    self.hint_at("the input is full", now);
                }
            }
            Action::Edit(edit) => self.composer.edit(edit),
            _ => self.composer.edit(Edit::Delete),
        }
        if self.composer.is_empty() { self.stop_typing() } else { self.typing() }
    }

    fn submit_composer(&mut self, now: Moment) -> Vec<Effect> {
        let text = self.composer.text();
        if text.trim().is_empty() {
            return Vec::new();
        }
        match self.submit(&text, now) {
            Ok(effects) => {
                self.composer.take();
                self.hint = None;
                self.screen.viewport = Viewport::Newest;
                let mut all = self.typing_ended_by(&effects);
                all.extend(effects);
                all
            }
            Err(why) => {
                self.hint_at(&why, now);
                Vec::new()
            }
        }
    }

    fn recall_or_complete(&mut self, action: Action) {
        let columns = layout::composer_columns(self.screen.columns);
        match action {
            Action::Up => self.composer.up(columns),
            Action::Down => self.composer.down(columns),
            _ => {
                let before = self.composer.text_before_cursor();
                let completion = self.completion.take().or_else(|| Completion::of(&before, &self.roster));
                let Some(mut completion) = completion else { return };
                let (bytes, word) = completion.turn(action == Action::CompleteBack);
                self.composer.replace_before_cursor(bytes, word);
                self.completion = Some(completion);
            }
        }
    }

    fn scroll(&mut self, action: Action) {
        let Some(areas) = self.areas() else { return };
        let rows = usize::from(areas.transcript.height);
        let page = isize::try_from(rows.saturating_sub(1).max(1)).unwrap_or(isize::MAX);
        let view = self.screen.viewport;
        let blocks = self.blocks(&areas);
        let scrolled = match action {
            Action::PageUp => view.scrolled(&blocks, rows, -page),
            Action::PageDown => view.scrolled(&blocks, rows, page),
            Action::Oldest => Viewport::from_place(&blocks, rows, Place { index: 0, row: 0 }),
            Action::FirstUnread => {
                let line = self.screen.unread_line.and_then(|entry| self.transcript.index(entry));
                line.map_or(view, |index| Viewport::from_place(&blocks, rows, Place { index, row: 0 }))
            }
            _ => Viewport::Newest,
        };
        self.screen.viewport = scrolled;
    }

    /// The parts of the screen; `None` when it is too small.
    pub fn areas(&self) -> Option<Areas> {
        let screen = &self.screen;
        let rows = self.composer.view(layout::composer_columns(screen.columns)).rows.len();
        layout::areas(screen.columns, screen.rows, rows, screen.roster_wanted)
    }

    /// The rows of the transcript as they are in `areas`.
    pub fn blocks(&self, areas: &Areas) -> Blocks<'_> {
        Blocks {
            transcript: &self.transcript,
            time_zone: &self.time_zone,
            unread: self.screen.unread_line,
            columns: Columns::of(areas.transcript.width),
        }
    }
}
