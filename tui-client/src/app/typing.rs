//! Telling the room that we write a text. How often the others are told is the room's affair.

use patchcord_peer::Recipients;

use super::{App, Effect, Phase};

impl App {
    /// Tells that we write a text; what a command is about is nobody's business.
    pub(super) fn typing(&mut self) -> Vec<Effect> {
        let text = self.composer.text();
        let command = text.starts_with('/') && !text.starts_with("//") && !text.starts_with("/me");
        if self.phase != Phase::Joined || command || self.composer.is_empty() {
            return Vec::new();
        }
        self.typing = true;
        vec![Effect::Typing { active: true }]
    }

    /// Takes it back.
    pub(super) fn stop_typing(&mut self) -> Vec<Effect> {
        let typing = std::mem::take(&mut self.typing);
        if typing { vec![Effect::Typing { active: false }] } else { Vec::new() }
    }

    /// What was written is carried out: a text that everybody gets says by itself that it is finished.
    pub(super) fn typing_ended_by(&mut self, effects: &[Effect]) -> Vec<Effect> {
        if effects.iter().any(|effect| matches!(effect, Effect::Send { to: Recipients::Everybody, .. })) {
            self.typing = false;
        }
        self.stop_typing()
    }
}
