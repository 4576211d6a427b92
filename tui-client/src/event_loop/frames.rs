//! When to draw: at once after a pause, then at most sixty times a second, and never without a change.

use std::{io, time::Duration};

use crossterm::{
    queue,
    terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate},
};

use crate::{app::App, terminal::Screen, theme::Theme, ui};

/// From one frame to the next at least.
pub const FRAME_INTERVAL: Duration = Duration::from_micros(16_667);

/// What was drawn and when.
#[derive(Debug)]
pub struct Frames {
    changed: bool,
    drawn: Option<Duration>,
}

impl Frames {
    /// Nothing was drawn.
    pub fn new() -> Self {
        Self { changed: true, drawn: None }
    }

    /// Something changed.
    pub fn mark(&mut self) {
        self.changed = true;
    }

    /// When the next frame is due; `None` without a change.
    pub fn due(&self, now: Duration) -> Option<Duration> {
        self.changed.then(|| self.drawn.map_or(now, |drawn| drawn + FRAME_INTERVAL))
    }

    /// A frame was drawn.
    pub fn drawn(&mut self, now: Duration) {
        (self.changed, self.drawn) = (false, Some(now));
    }
}

/// Draws the app, in one piece where the terminal can.
pub fn draw(app: &App, theme: Theme, screen: &mut Screen) -> io::Result<()> {
    queue!(screen.backend_mut(), BeginSynchronizedUpdate)?;
    screen.draw(|frame| ui::draw(app, theme, frame))?;
    queue!(screen.backend_mut(), EndSynchronizedUpdate)?;
    io::Write::flush(screen.backend_mut())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_drawn_at_once_and_the_next_after_the_interval() {
        let now = Duration::from_secs(1);
        let mut frames = Frames::new();
        assert_eq!(frames.due(now), Some(now));
        frames.drawn(now);
        assert_eq!(frames.due(now), None, "nothing has changed");
        frames.mark();
        frames.mark();
        assert_eq!(frames.due(now), Some(now + FRAME_INTERVAL));
        let later = Duration::from_secs(2);
        assert!(frames.due(later) < Some(later), "after a pause it is due already");
    }
}
