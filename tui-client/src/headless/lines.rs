//! Lines from a pipe or a terminal, each bounded: one that is too long is skipped, never held.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// The longest line that is taken, without its line feed.
pub(crate) const LINE_BYTES_MAX: usize = 1024 * 1024;

/// One line of input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Without its line feed, and without a carriage return before it.
    Text(String),
    /// Longer than [`LINE_BYTES_MAX`]; skipped through its line feed.
    TooLong,
    /// Not UTF-8.
    NotUtf8,
    /// There is no more.
    End,
}

/// Splits input into lines.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    skipping: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, line: Vec::new(), skipping: false }
    }

    /// The next line. Cancel-safe: what was read stays in `self`.
    pub(crate) async fn next(&mut self) -> std::io::Result<Line> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                let rest = !self.line.is_empty() || self.skipping;
                return Ok(if rest { self.take() } else { Line::End });
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if self.line.len() + part.len() > LINE_BYTES_MAX {
                self.skipping = true;
                self.line = Vec::new();
            } else if !self.skipping {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(self.take());
            }
        }
    }

    fn take(&mut self) -> Line {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.skipping) {
            return Line::TooLong;
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map_or(Line::NotUtf8, Line::Text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    fn lines(input: &[u8], chunk: usize) -> Vec<Line> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut lines = Lines::new(BufReader::with_capacity(chunk, input));
            let mut all = Vec::new();
            loop {
                match lines.next().await.unwrap() {
                    Line::End => return all,
                    line => all.push(line),
                }
            }
        })
    }

    fn text(line: &str) -> Line {
        Line::Text(line.into())
    }

    #[test]
    fn the_last_line_needs_no_line_feed() {
        assert_eq!(lines(b"a\n\nb\r\nc", 4), [text("a"), text(""), text("b"), text("c")]);
        assert_eq!(lines(b"", 4), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_is_read() {
        let mut input = vec![b'x'; LINE_BYTES_MAX];
        input.extend_from_slice(b"\n");
        assert_eq!(lines(&input, 8192).len(), 1);
        input.splice(0..0, [b'x']);
        input.extend_from_slice(b"next\n");
        assert_eq!(lines(&input, 8192), [Line::TooLong, text("next")]);
        assert_eq!(lines(&vec![b'x'; LINE_BYTES_MAX * 2], 8192), [Line::TooLong]);
    }

    #[test]
    fn bytes_that_are_no_text_are_told_apart() {
        assert_eq!(lines(b"\xff\xfe\nok\n", 8), [Line::NotUtf8, text("ok")]);
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_standard_library(input in "[a-z\n\r]{0,64}", chunk in 1usize..9) {
            let expected: Vec<Line> = input
                .split_inclusive('\n')
                .map(|line| line.strip_suffix('\n').unwrap_or(line))
                .map(|line| text(line.strip_suffix('\r').unwrap_or(line)))
                .collect();
            prop_assert_eq!(lines(input.as_bytes(), chunk), expected);
        }
    }
}
