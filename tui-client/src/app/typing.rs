//! Telling the others that we write, and seldom (chat.proto, `ChatTyping`): whoever tells it at every text is
//! taken for a flood and cut off.

use std::time::Duration;

use patchcord_peer::Recipients;

use super::{App, Effect, Phase, TYPING_INTERVAL};
use crate::clock::Moment;

/// What the others believe.
#[derive(Debug, Default)]
pub(super) struct Typing {
    /// When they were last told that we write.
    told: Option<Duration>,
    /// Whether that still holds, as far as they know.
    believed: bool,
}

impl App {
    /// Tells that we write a text; what a command is about is nobody's business.
    pub(super) fn typing(&mut self, now: Moment) -> Vec<Effect> {
        let text = self.composer.text();
        let command = text.starts_with('/') && !text.starts_with("//") && !text.starts_with("/me");
        let due = self.typing.told.is_none_or(|told| told + TYPING_INTERVAL <= now.uptime);
        if self.phase != Phase::Joined || !due || command || self.composer.is_empty() {
            return Vec::new();
        }
        self.typing = Typing { told: Some(now.uptime), believed: true };
        vec![Effect::Typing { active: true }]
    }

    /// Takes it back.
    pub(super) fn stop_typing(&mut self) -> Vec<Effect> {
        let believed = std::mem::take(&mut self.typing.believed);
        if believed { vec![Effect::Typing { active: false }] } else { Vec::new() }
    }

    /// What was written is carried out: a text that everybody gets says by itself that it is finished.
    pub(super) fn typing_ended_by(&mut self, effects: &[Effect]) -> Vec<Effect> {
        if effects.iter().any(|effect| matches!(effect, Effect::Send { to: Recipients::Everybody, .. })) {
            self.typing.believed = false;
        }
        self.stop_typing()
    }
}
