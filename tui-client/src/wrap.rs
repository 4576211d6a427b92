//! Wrapping at the width of a pane. One oracle decides how wide a text is: the one that ratatui draws by.

use std::ops::Range;

use ratatui::buffer::CellWidth;
use unicode_segmentation::UnicodeSegmentation;

use crate::safe_text::SafeText;

/// Columns that `text` (without control characters) takes.
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(grapheme_width).sum()
}

fn grapheme_width(grapheme: &str) -> usize {
    // A control character has no width; the oracle is not defined for it.
    if grapheme.len() == 1 && grapheme.as_bytes()[0].is_ascii_control() {
        return 0;
    }
    usize::from(grapheme.cell_width())
}

/// Of each grapheme of `text` the columns that it takes, and those that it takes on a terminal that adds up its
/// characters.
pub fn uncertain_widths(text: &str) -> impl Iterator<Item = (usize, usize)> {
    text.graphemes(true).map(|grapheme| {
        let columns = grapheme_width(grapheme);
        if grapheme.len() == 1 {
            return (columns, columns);
        }
        let apart = grapheme.chars().map(|c| usize::from(c.encode_utf8(&mut [0; 4]).cell_width())).sum();
        (columns, columns.max(apart))
    })
}

/// Cuts `text` into rows of at most `columns`: at line feeds, then after spaces, then between graphemes.
/// Spaces at the end of a row are not part of it. There is always at least one row, and every row but an
/// empty line has at least one grapheme.
pub fn wrap(text: &str, columns: usize) -> Vec<Range<usize>> {
    let mut rows = Vec::new();
    let mut start = 0;
    for line in text.split('\n') {
        wrap_line(line, start, columns, &mut rows);
        start += line.len() + 1;
    }
    rows
}

fn wrap_line(line: &str, offset: usize, limit: usize, rows: &mut Vec<Range<usize>>) {
    let mut row = Row { start: 0, columns: 0, in_words: false, break_at: None };
    for (at, grapheme) in line.grapheme_indices(true) {
        let columns = grapheme_width(grapheme);
        let is_space = grapheme == " ";
        if row.columns + columns > limit && at > row.start && !is_space {
            let end = row.break_at.map_or(at, |(end, _)| end);
            let next = row.break_at.map_or(at, |(_, next)| next);
            rows.push(offset + row.start..offset + end);
            let columns = width(&line[next..at]);
            row = Row { start: next, columns, in_words: next < at, break_at: None };
        }
        if is_space {
            let end = row.break_at.filter(|(_, next)| *next == at).map_or(at, |(end, _)| end);
            // A row that begins with spaces is indented; those are no place to break.
            if row.in_words {
                row.break_at = Some((end, at + 1));
            }
        }
        row.in_words |= !is_space;
        row.columns += columns;
    }
    let end = row.start + line[row.start..].trim_end_matches(' ').len();
    rows.push(offset + row.start..offset + end);
}

struct Row {
    start: usize,
    columns: usize,
    /// Whether anything but spaces is on it.
    in_words: bool,
    /// The end of the last word that fits, and the start of the word after it.
    break_at: Option<(usize, usize)>,
}

/// The longest beginning of `text` that fits into `columns`; when it is not all of it, it ends in `…`.
pub fn truncate(text: &SafeText, columns: usize) -> SafeText {
    if width(text.as_str()) <= columns {
        return text.clone();
    }
    let (mut taken, mut end) = (0, 0);
    for (at, grapheme) in text.as_str().grapheme_indices(true) {
        taken += grapheme_width(grapheme);
        if taken + 1 > columns {
            break;
        }
        end = at + grapheme.len();
    }
    if columns == 0 { SafeText::default() } else { SafeText::line(&format!("{}…", &text.as_str()[..end])) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str, columns: usize) -> Vec<&str> {
        wrap(text, columns).into_iter().map(|row| &text[row]).collect()
    }

    #[test]
    fn rows_break_at_line_feeds_then_spaces_then_graphemes() {
        assert_eq!(rows("", 5), [""]);
        assert_eq!(rows("one two three", 7), ["one two", "three"]);
        assert_eq!(rows("one  two", 4), ["one", "two"]);
        assert_eq!(rows("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(rows("a\n\nb\n", 3), ["a", "", "b", ""]);
        assert_eq!(rows("  indented text", 10), ["  indented", "text"]);
        assert_eq!(rows("ab cd", 2), ["ab", "cd"]);
    }

    #[test]
    fn wide_graphemes_are_not_cut() {
        let family = "👩\u{200d}👩\u{200d}👧\u{200d}👦";
        assert_eq!(width(family), 2);
        assert_eq!(width("❤\u{fe0f}"), 2);
        assert_eq!(rows(&family.repeat(3), 5), [family.repeat(2), family.into()]);
        assert_eq!(rows("漢字", 3), ["漢", "字"]);
        assert_eq!(rows("漢字", 1), ["漢", "字"], "a pane narrower than a character still shows it");
    }

    #[test]
    fn truncated_text_ends_in_an_ellipsis() {
        let truncated = |text, columns| truncate(&SafeText::line(text), columns).to_string();
        assert_eq!(truncated("ana", 3), "ana");
        assert_eq!(truncated("anabel", 3), "an…");
        assert_eq!(truncated("漢字漢", 4), "漢…");
        assert_eq!(truncated("ana", 0), "");
    }

    proptest! {
        #[test]
        fn every_word_is_on_some_row_and_every_row_fits(text in "[a-c漢é \n]{0,60}", columns in 2usize..12) {
            let rows = rows(&text, columns);
            prop_assert_eq!(rows.concat().replace(' ', ""), text.replace([' ', '\n'], ""));
            for row in rows {
                prop_assert!(width(row.trim_start_matches(' ')) <= columns);
            }
        }
    }
}
