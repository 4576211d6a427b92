//! Colours that can be read on light and on dark grounds: the terminal's own foreground and background, and
//! hues of middle brightness on top. Under NO_COLOR none at all, because a terminal library that blanks
//! colours afterwards also wipes bold and reverse.

use std::hash::{DefaultHasher, Hash, Hasher};

use patchcord_peer::PeerId;
use ratatui::style::{Color, Modifier, Style};

/// Of the 256 colours, those with a contrast of at least 3.7:1 to black and to white, spread over the hues;
/// red is kept for what failed.
const NICKS: [u8; 12] = [131, 166, 100, 64, 29, 30, 32, 63, 98, 128, 163, 161];
/// Of the 16 colours, whose look is the user's own choice, those that are neither grey nor red.
const NICKS_OF_SIXTEEN: [Color; 5] = [Color::Green, Color::Yellow, Color::Blue, Color::Magenta, Color::Cyan];

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// None, or none wanted: bold, dim and reverse only.
    Plain,
    /// The 16 of ANSI.
    Sixteen,
    /// The 256 of xterm, or more.
    Indexed,
}

impl Theme {
    /// Reads NO_COLOR (<https://no-color.org>), COLORTERM and TERM through `variable`.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let term = variable("TERM").unwrap_or_default();
        if variable("NO_COLOR").is_some_and(|value| !value.is_empty())
            || matches!(term.as_str(), "" | "dumb" | "vt100" | "vt220")
        {
            return Self::Plain;
        }
        let many = ["256color", "direct", "kitty", "alacritty", "foot", "ghostty", "wezterm"];
        let true_color = matches!(variable("COLORTERM").as_deref(), Some("truecolor" | "24bit"));
        if true_color || many.iter().any(|word| term.contains(word)) { Self::Indexed } else { Self::Sixteen }
    }

    /// A peer's name: the same for as long as it is in the room.
    pub fn nick(self, id: &PeerId) -> Style {
        // Keyed by id, so that a namesake does not look the same.
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let pick = |count: usize| (hasher.finish() % count as u64) as usize;
        let bold = Style::new().add_modifier(Modifier::BOLD);
        match self {
            Self::Plain => bold,
            Self::Sixteen => bold.fg(NICKS_OF_SIXTEEN[pick(NICKS_OF_SIXTEEN.len())]),
            Self::Indexed => bold.fg(Color::Indexed(NICKS[pick(NICKS.len())])),
        }
    }

    /// Our own name.
    pub fn own_nick(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    /// Times, lines and what is said aside.
    pub fn aside(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What failed.
    pub fn problem(self) -> Style {
        self.coloured(Color::Red, 160).add_modifier(Modifier::BOLD)
    }

    /// What is well.
    pub fn good(self) -> Style {
        self.coloured(Color::Green, 28)
    }

    /// What should be noticed.
    pub fn alert(self) -> Style {
        self.coloured(Color::Magenta, 163).add_modifier(Modifier::BOLD)
    }

    /// The title line and headings that are like it.
    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Headings.
    pub fn heading(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn coloured(self, of_sixteen: Color, index: u8) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Sixteen => Style::new().fg(of_sixteen),
            Self::Indexed => Style::new().fg(Color::Indexed(index)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theme(variables: &[(&str, &str)]) -> Theme {
        Theme::detect(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    /// Relative luminance of a colour of the 6x6x6 cube (WCAG 2.2, "relative luminance").
    fn luminance(index: u8) -> f64 {
        let levels = [0.0, 95.0, 135.0, 175.0, 215.0, 255.0];
        let cube = usize::from(index - 16);
        let linear = [cube / 36, cube / 6 % 6, cube % 6].map(|level| {
            let part: f64 = levels[level] / 255.0;
            if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    #[test]
    fn every_colour_can_be_read_on_black_and_on_white() {
        for index in NICKS.into_iter().chain([160, 28, 163]) {
            let luminance = luminance(index);
            let (on_black, on_white) = ((luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05));
            assert!(on_black >= 3.7 && on_white >= 3.7, "{index}: {on_black:.2} {on_white:.2}");
        }
    }

    #[test]
    fn no_color_means_no_colour_at_all() {
        let plain = theme(&[("NO_COLOR", "1"), ("TERM", "xterm-256color")]);
        assert_eq!(plain, Theme::Plain);
        let id = PeerId::parse("bbbb").unwrap();
        for style in [plain.nick(&id), plain.problem(), plain.good(), plain.alert(), plain.title()] {
            assert_eq!((style.fg, style.bg), (None, None));
        }
    }

    #[test]
    fn the_terminal_says_how_many_colours_it_has() {
        assert_eq!(theme(&[("TERM", "xterm-256color")]), Theme::Indexed);
        assert_eq!(theme(&[("TERM", "xterm"), ("COLORTERM", "truecolor")]), Theme::Indexed);
        assert_eq!(theme(&[("TERM", "linux")]), Theme::Sixteen);
        assert_eq!(theme(&[("TERM", "xterm"), ("NO_COLOR", "")]), Theme::Sixteen);
        assert_eq!(theme(&[]), Theme::Plain);
    }

    #[test]
    fn a_nick_keeps_its_colour() {
        let nick = |id| Theme::Indexed.nick(&PeerId::parse(id).unwrap());
        assert_eq!(nick("bbbb"), nick("bbbb"));
        let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
        assert!(ids.iter().any(|id| nick(id) != nick("a")));
    }
}
