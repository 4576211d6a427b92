//! The one gate from anybody's text to anything that is shown: a [`SafeText`] holds printable characters
//! and line feeds only, and no invisible character that could make two texts look alike.

use std::{fmt, ops::Range};

use patchcord_peer::Untrusted;
use unicode_properties::{GeneralCategory, UnicodeEmoji, UnicodeGeneralCategory};
use unicode_segmentation::UnicodeSegmentation;

use crate::wrap;

/// Combining marks kept on one base character; a mark tells how many more there were.
pub const COMBINING_MARKS_MAX: usize = 4;
/// Joiners kept in one emoji; the longest emoji in use have three.
const JOINERS_MAX: usize = 8;
const TAB_COLUMNS: usize = 4;

const ZERO_WIDTH_JOINER: char = '\u{200d}';
const TEXT_PRESENTATION: char = '\u{fe0e}';
const EMOJI_PRESENTATION: char = '\u{fe0f}';
const DOTTED_CIRCLE: char = '\u{25cc}';

/// Text that may be written to a terminal. Characters that would act on the terminal or cannot be seen are
/// replaced by visible marks such as `␛`, `⟨RLO⟩` or `⟨U+200B⟩`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SafeText(String);

/// What becomes of line breaks and tabs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    Kept,
    Marked,
}

impl SafeText {
    /// A text of one line, such as a name: line breaks and tabs become marks.
    pub fn line(text: &str) -> Self {
        Self(sanitize(text, Lines::Marked))
    }

    /// A text of any number of lines, such as a message: CR LF and LF become `\n`, a tab becomes spaces.
    pub fn message(text: &str) -> Self {
        Self(sanitize(text, Lines::Kept))
    }

    /// A name from somebody else, as [`SafeText::line`], without white space around it.
    pub fn name(text: &Untrusted) -> Self {
        Self::line(text.as_raw().trim())
    }

    /// A message from somebody else, as [`SafeText::message`].
    pub fn text(text: &Untrusted) -> Self {
        Self::message(text.as_raw())
    }

    /// The text; its only control character is `\n`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A part of the text; empty where `bytes` cuts a character or is outside.
    pub fn part(&self, bytes: Range<usize>) -> SafeStr<'_> {
        SafeStr(self.0.get(bytes).unwrap_or_default())
    }
}

/// A borrowed [`SafeText`] or a part of one, or a text of the program itself: what can be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafeStr<'a>(&'a str);

impl<'a> SafeStr<'a> {
    /// The text.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl<'a> From<&'a SafeText> for SafeStr<'a> {
    fn from(text: &'a SafeText) -> Self {
        Self(&text.0)
    }
}

impl From<&'static str> for SafeStr<'static> {
    fn from(own: &'static str) -> Self {
        Self(own)
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

fn sanitize(text: &str, lines: Lines) -> String {
    // Plain ASCII, by far the most, is safe as it is.
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return text.to_owned();
    }
    let mut gate = Gate { out: String::with_capacity(text.len()), lines, in_tags: false, tab_end: 0 };
    for grapheme in text.graphemes(true) {
        gate.grapheme(grapheme);
    }
    gate.out
}

struct Gate {
    out: String,
    lines: Lines,
    /// The last thing written stands for a run of tag characters.
    in_tags: bool,
    /// Where the last tab in `out` ends.
    tab_end: usize,
}

/// What of a grapheme has gone through.
#[derive(Default)]
struct Passed {
    /// Something that marks can be put on.
    base: Option<char>,
    /// The character right before.
    last: Option<char>,
    /// An emoji that a joiner may follow.
    emoji: bool,
    marks: usize,
    joiners: usize,
}

impl Gate {
    fn grapheme(&mut self, grapheme: &str) {
        let mut passed = Passed::default();
        let mut chars = grapheme.chars().peekable();
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            let continues_tags = std::mem::take(&mut self.in_tags);
            match c {
                '\r' if self.lines == Lines::Kept && next == Some('\n') => {}
                '\n' if self.lines == Lines::Kept => self.out.push('\n'),
                '\t' if self.lines == Lines::Kept => self.tab(),
                '\u{e0000}'..='\u{e007f}' => {
                    self.in_tags = true;
                    passed.emoji = false;
                    if !continues_tags {
                        self.out.push_str("⟨tags⟩");
                    }
                }
                ZERO_WIDTH_JOINER if passed.may_join(next) => {
                    self.out.push(c);
                    passed.joiners += 1;
                    passed.emoji = false;
                }
                TEXT_PRESENTATION | EMOJI_PRESENTATION if passed.last.is_some_and(has_presentations) => {
                    self.out.push(c);
                }
                c if passed.is_continued_by(c) => self.combining(c, &mut passed),
                c => self.base(c, &mut passed),
            }
            passed.last = Some(c);
        }
        if passed.marks > COMBINING_MARKS_MAX {
            self.out.push_str(&format!("⟨+{}⟩", passed.marks - COMBINING_MARKS_MAX));
        }
    }

    fn tab(&mut self) {
        // A tab ends at a stop, so that only what came after the last one counts.
        let line = self.out[self.tab_end..].rsplit('\n').next().unwrap_or_default();
        let column = wrap::width(line);
        self.out.extend(std::iter::repeat_n(' ', TAB_COLUMNS - column % TAB_COLUMNS));
        self.tab_end = self.out.len();
    }

    fn combining(&mut self, c: char, passed: &mut Passed) {
        passed.marks += 1;
        passed.emoji = false;
        if passed.marks <= COMBINING_MARKS_MAX {
            // Without a base of its own it would change whatever is shown to the left of the text.
            if passed.base.is_none() {
                self.out.push(DOTTED_CIRCLE);
                passed.base = Some(DOTTED_CIRCLE);
            }
            self.out.push(c);
        }
    }

    fn base(&mut self, c: char, passed: &mut Passed) {
        let code = u32::from(c);
        passed.base = Some(c).filter(|c| is_seen(*c));
        passed.emoji = is_emoji(c);
        match c {
            '\0'..='\u{1f}' => self.out.extend(char::from_u32(0x2400 + code)),
            '\u{7f}' => self.out.push('␡'),
            c if is_seen(c) => self.out.push(c),
            c => match bidi_name(c) {
                Some(name) => self.out.push_str(&format!("⟨{name}⟩")),
                None => self.out.push_str(&format!("⟨U+{code:04X}⟩")),
            },
        }
    }
}

impl Passed {
    /// Whether a joiner here is part of an emoji sequence (UTS #51), its one use that can be seen.
    fn may_join(&self, next: Option<char>) -> bool {
        self.emoji && next.is_some_and(is_emoji) && self.joiners < JOINERS_MAX
    }

    /// Whether `c` is drawn onto the base before it: a mark, or a vowel or final of a Hangul syllable.
    fn is_continued_by(&self, c: char) -> bool {
        is_combining(c) || (self.base.is_some_and(is_hangul) && is_hangul(c) && char_width(c) == 0)
    }
}

fn char_width(c: char) -> usize {
    wrap::width(c.encode_utf8(&mut [0; 4]))
}

/// The names of the characters that reorder the text around them (UAX #9).
fn bidi_name(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{061c}' => "ALM",
        '\u{200e}' => "LRM",
        '\u{200f}' => "RLM",
        '\u{202a}' => "LRE",
        '\u{202b}' => "RLE",
        '\u{202c}' => "PDF",
        '\u{202d}' => "LRO",
        '\u{202e}' => "RLO",
        '\u{2066}' => "LRI",
        '\u{2067}' => "RLI",
        '\u{2068}' => "FSI",
        '\u{2069}' => "PDI",
        _ => return None,
    })
}

/// Whether `c`, no mark, shows as something.
fn is_seen(c: char) -> bool {
    // The Hangul fillers and the braille blank are letters and symbols by category, and look like nothing.
    let blank = matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}');
    let acts = matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    let noncharacter = u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    !blank && !acts && !noncharacter && !is_variation_selector(c) && char_width(c) > 0
}

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{115e}' | '\u{1161}'..='\u{11ff}' | '\u{a960}'..='\u{a97c}' | '\u{ac00}'..='\u{d7fb}')
}

fn is_variation_selector(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

fn is_combining(c: char) -> bool {
    let mark = matches!(
        c.general_category(),
        GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark | GeneralCategory::SpacingMark
    );
    // The grapheme joiner, the Khmer inherent vowels and the selectors are marks by category, and invisible.
    let invisible = matches!(c, '\u{034f}' | '\u{17b4}' | '\u{17b5}') || is_variation_selector(c);
    // Some marks stand alone, and some are newer than the tables that say what belongs together.
    let attaches = || format!("{DOTTED_CIRCLE}{c}").graphemes(true).count() == 1;
    mark && !invisible && attaches()
}

fn is_emoji(c: char) -> bool {
    !c.is_ascii() && c.is_emoji_char()
}

/// Whether a presentation selector after `c` can change how it looks: emoji, and the bases of keycaps.
fn has_presentations(c: char) -> bool {
    is_emoji(c) || matches!(c, '0'..='9' | '#' | '*')
}

#[cfg(test)]
mod tests;
